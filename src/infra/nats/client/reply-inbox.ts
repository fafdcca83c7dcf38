import { createInbox, type Msg, type Subscription } from '@nats-io/transport-node'
import type { Nats } from './connection.ts'

/** Somebody who waits for one answer or several. */
export interface Waiting {
  /** Kept by the inbox: the tick after which it waits no longer. */
  deadline?: number
  /** True: that was the last. Must not throw. */
  answer(msg: Msg): boolean
  /** No (further) answer will come. Must not throw. */
  fail(why: 'timeout' | 'disconnected'): void
}

const tickMs = 250

/**
 * Answers to what one part of confab asks, over one wildcard subscription. One timer looks after all who wait, where nats.js makes a timer and three promises
 * for each request; that is most of what a request costs.
 */
export class ReplyInbox {
  readonly #prefix: string
  readonly #subscription: Subscription
  readonly #timer: NodeJS.Timeout
  readonly #patience: number
  readonly #unlisten: () => void
  readonly #waiting = new Map<number, Waiting>()
  #next = 0
  #tick = 0

  /** `timeoutMs`: the longest silence before who waits is told; kept to 250 ms. */
  constructor(nats: Nats, timeoutMs: number) {
    this.#patience = Math.ceil(timeoutMs / tickMs) + 1
    this.#prefix = `${createInbox()}.`
    this.#subscription = nats.connection.subscribe(`${this.#prefix}*`, {
      callback: (_error, msg) => this.#answer(msg),
    })
    this.#timer = setInterval(() => this.#sweep(), tickMs)
    this.#timer.unref()
    // What was asked before may have been lost with the connection, or its answer: nobody can know.
    this.#unlisten = nats.onChange(() => this.#failAll('disconnected'))
  }

  get size(): number {
    return this.#waiting.size
  }

  /** The subject to have answers sent to. */
  expect(waiting: Waiting): string {
    const token = this.#next++
    waiting.deadline = this.#tick + this.#patience
    this.#waiting.set(token, waiting)
    return this.#prefix + token
  }

  close(): void {
    clearInterval(this.#timer)
    this.#unlisten()
    this.#subscription.unsubscribe()
    this.#failAll('disconnected')
  }

  #answer(msg: Msg): void {
    const token = Number(msg.subject.slice(this.#prefix.length))
    const waiting = this.#waiting.get(token)
    if (waiting === undefined) return
    if (waiting.answer(msg)) this.#waiting.delete(token)
    else waiting.deadline = this.#tick + this.#patience
  }

  #sweep(): void {
    this.#tick++
    for (const [token, waiting] of this.#waiting)
      if ((waiting.deadline ?? 0) < this.#tick) {
        this.#waiting.delete(token)
        waiting.fail('timeout')
      }
  }

  #failAll(why: 'disconnected'): void {
    const all = [...this.#waiting.values()]
    this.#waiting.clear()
    for (const waiting of all) waiting.fail(why)
  }
}
