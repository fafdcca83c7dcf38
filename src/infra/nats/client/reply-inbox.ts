import { createInbox, type Msg, type Subscription } from '@nats-io/transport-node'
import type { Nats } from './connection.ts'

/** A request that waits for one or more answers. */
export interface PendingRequest {
  /** The tick after which the request has timed out. Set by the inbox. */
  deadline?: number
  /** Takes an answer. Returns true when it was the last. */
  answer(msg: Msg): boolean
  /** Called when no further answer can arrive. */
  fail(why: 'timeout' | 'disconnected'): void
}

const tickMs = 250

/**
 * Receives the answers to the requests of one component over one wildcard subscription. One timer serves all requests:
 * nats.js makes a timer and three promises for each request, which is most of a request's cost.
 */
export class ReplyInbox {
  readonly #nats: Nats
  readonly #prefix: string
  readonly #subscription: Subscription
  readonly #timer: NodeJS.Timeout
  readonly #timeoutTicks: number
  readonly #unlisten: () => void
  readonly #pending = new Map<number, PendingRequest>()
  #nextToken = 0
  #tick = 0

  /** `timeoutMs`: the longest silence before a request fails, accurate to 250 ms. */
  constructor(nats: Nats, timeoutMs: number) {
    this.#nats = nats
    this.#timeoutTicks = Math.ceil(timeoutMs / tickMs) + 1
    this.#prefix = `${createInbox()}.`
    this.#subscription = nats.subscribe(`${this.#prefix}*`, msg => this.#answer(msg))
    this.#timer = setInterval(() => this.#sweep(), tickMs)
    this.#timer.unref()
    // The connection may have lost the request or its answer.
    this.#unlisten = nats.onChange(() => this.#failAll('disconnected'))
  }

  /** Number of pending requests. */
  get size(): number {
    return this.#pending.size
  }

  /** Registers a request and returns the subject for its answers. */
  expect(request: PendingRequest): string {
    const token = this.#nextToken++
    request.deadline = this.#tick + this.#timeoutTicks
    this.#pending.set(token, request)
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
    const request = this.#pending.get(token)
    if (request === undefined) return
    if (request.answer(msg)) this.#pending.delete(token)
    else request.deadline = this.#tick + this.#timeoutTicks
  }

  #sweep(): void {
    this.#tick++
    for (const [token, request] of this.#pending)
      if ((request.deadline ?? 0) < this.#tick) {
        this.#pending.delete(token)
        this.#fail(request, 'timeout')
      }
  }

  #failAll(why: 'disconnected'): void {
    const all = [...this.#pending.values()]
    this.#pending.clear()
    for (const request of all) this.#fail(request, why)
  }

  /** The other requests fail too when one of them throws. */
  #fail(request: PendingRequest, why: 'timeout' | 'disconnected'): void {
    try {
      request.fail(why)
    } catch (error) {
      this.#nats.listenerFailed(error, 'a pending request')
    }
  }
}
