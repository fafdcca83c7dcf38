import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Msg, Subscription } from '@nats-io/transport-node'
import type { Nats } from '../client/connection.ts'

/** Time after which a subscription ends that is no longer needed, ms. Many clients reconnect. */
const lingerMs = 30_000
/** Subscriptions that are started in one turn of the event loop. */
const batch = 512

export interface IdSubscriptionsOptions {
  readonly subjectOf: (id: string) => string
  readonly receive: (msg: Msg) => void
  /** Whether an id is needed for another reason than the one that ended. Asked before its subscription ends. */
  readonly isNeeded?: (id: string) => boolean
}

/** One NATS subscription for each conversation or user that the clients of this node need. */
export class IdSubscriptions {
  readonly #nats: Nats
  readonly #options: IdSubscriptionsOptions
  readonly #subscriptions = new Map<string, Subscription>()
  /** Ids that are no longer needed, and since when; the oldest first. */
  readonly #leaving = new Map<string, number>()

  constructor(nats: Nats, options: IdSubscriptionsOptions) {
    this.#nats = nats
    this.#options = options
  }

  get size(): number {
    return this.#subscriptions.size
  }

  add(id: string): void {
    this.#leaving.delete(id)
    if (this.#subscriptions.has(id)) return
    const { subjectOf, receive } = this.#options
    this.#subscriptions.set(id, this.#nats.subscribe(subjectOf(id), receive))
  }

  /** Adds many ids without blocking the event loop. */
  async addAll(ids: Iterable<string>): Promise<void> {
    let added = 0
    for (const id of ids) {
      this.add(id)
      if (++added % batch === 0) await nextTurn()
    }
  }

  /** Ends the subscription of an id, 30 s later and unless it is needed again. */
  remove(id: string): void {
    if (this.#subscriptions.has(id)) this.#leaving.set(id, performance.now())
  }

  /** Ends what is due. Call it about once a second. */
  endUnneeded(): void {
    const now = performance.now()
    for (const [id, since] of this.#leaving) {
      if (now - since < lingerMs) return
      this.#leaving.delete(id)
      if (this.#options.isNeeded?.(id) === true) continue
      this.#subscriptions.get(id)?.unsubscribe()
      this.#subscriptions.delete(id)
    }
  }

  /** Ends all subscriptions. */
  clear(): void {
    for (const subscription of this.#subscriptions.values()) subscription.unsubscribe()
    this.#subscriptions.clear()
    this.#leaving.clear()
  }
}
