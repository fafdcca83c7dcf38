import type { Msg, Subscription } from '@nats-io/transport-node'
import type { SignalInterest, Signals } from '../../../edge/ports/signals.ts'
import { SubjectPattern, signalSubjectOf } from '../../../events/index.ts'
import type { Nats } from '../client/connection.ts'
import { IdSubscriptions } from './id-subscriptions.ts'

const checkMs = 1_000

/** The one listener of a process, and what it needs. */
interface Listening {
  readonly listener: (signal: unknown) => void
  readonly interest: SignalInterest
  readonly ids: IdSubscriptions
}

/**
 * Signals over core NATS, as JSON. A signal is lost when no node subscribes to it, or while NATS is unreachable. The
 * node subscribes to all signals; while it is narrow, to the conversations and users of its clients, each by a
 * subscription.
 */
export class NatsSignals implements Signals {
  readonly #nats: Nats
  #listening: Listening | undefined
  #all: Subscription | undefined
  /** The mode that was asked for, and the mode whose subscriptions count. */
  #shallBeNarrow = false
  #isNarrow = false
  #isChanging = false
  #timer: NodeJS.Timeout | undefined

  constructor(nats: Nats) {
    this.#nats = nats
  }

  /** Subscriptions to single conversations and users. */
  get subscriptions(): number {
    return this.#listening?.ids.size ?? 0
  }

  get isNarrow(): boolean {
    return this.#isNarrow
  }

  publish(about: string, signal: unknown): void {
    // nats.js would keep the message for the next connection, when the signal is out of date.
    if (this.#nats.connected()) this.#nats.connection.publish(signalSubjectOf(about), JSON.stringify(signal))
  }

  listen(listener: (signal: unknown) => void, interest: SignalInterest): void {
    const ids = new IdSubscriptions(this.#nats, {
      subjectOf: signalSubjectOf,
      receive: msg => {
        if (this.#isNarrow) this.#receive(msg)
      },
      isNeeded: id => interest.needs(id),
    })
    this.#listening = { listener, interest, ids }
    interest.watch((id, isNeeded) => {
      if (!this.#shallBeNarrow) return
      if (isNeeded) ids.add(id)
      else ids.remove(id)
    })
    this.#subscribeAll()
  }

  narrow(): void {
    this.#shallBeNarrow = true
    this.#change()
  }

  widen(): void {
    this.#shallBeNarrow = false
    this.#change()
  }

  /** Brings the subscriptions to the mode that was asked for. When NATS is unreachable, the next check tries again. */
  #change(): void {
    this.#timer ??= setInterval(() => this.#check(), checkMs).unref()
    if (this.#isChanging) return
    if (this.#isNarrow === this.#shallBeNarrow) {
      if (!this.#isNarrow) this.#listening?.ids.clear()
      return
    }
    this.#isChanging = true
    const step = this.#shallBeNarrow ? this.#narrow() : this.#widen()
    step
      .catch(() => {
        // Not connected: the subscriptions of the mode before still count.
      })
      .finally(() => {
        this.#isChanging = false
      })
  }

  #check(): void {
    this.#listening?.ids.endUnneeded()
    this.#change()
  }

  async #narrow(): Promise<void> {
    const { ids, interest } = this.#listening ?? {}
    if (ids === undefined || interest === undefined) return
    await ids.addAll(interest.ids())
    // From the flush on, both subscriptions receive each signal that the node needs, so that none is lost in between.
    await this.#nats.connection.flush()
    if (!this.#shallBeNarrow) return
    this.#isNarrow = true
    this.#all?.unsubscribe()
  }

  async #widen(): Promise<void> {
    this.#subscribeAll()
    await this.#nats.connection.flush()
    if (this.#shallBeNarrow) {
      this.#all?.unsubscribe()
      return
    }
    this.#isNarrow = false
    this.#listening?.ids.clear()
  }

  #subscribeAll(): void {
    this.#all?.unsubscribe()
    this.#all = this.#nats.subscribe(SubjectPattern.signals, msg => {
      if (!this.#isNarrow) this.#receive(msg)
    })
  }

  #receive(msg: Msg): void {
    const { listener, interest } = this.#listening ?? {}
    try {
      if (interest?.needs(msg.subject.slice(msg.subject.lastIndexOf('.') + 1))) listener?.(msg.json())
    } catch {
      // Neither an invalid signal nor an error of the listener may end the subscription.
    }
  }
}
