import type { AnswerOf, AppData, Attachment, ConversationEvent } from '../events/index.ts'
import { backoff } from './backoff.ts'
import type { PendingMessage } from './client-types.ts'
import { closed, RequestError } from './request-error.ts'

type Sent = AnswerOf['send'] & { m: string }
type SendFields = {
  c: string
  m: string
  text: string
  replyTo?: string
  attachments?: Attachment[]
  data?: AppData
}

export interface OutboxOptions {
  request(fields: SendFields): Promise<AnswerOf['send']>
  /** Whether there is a connection. Without a connection or an answer, the timeout does not run. */
  isOpen(): boolean
  /** Returns the last delivered seq of a conversation. */
  cursor(c: string): number | undefined
  /** How long a message is retried that the server refuses for the moment, ms. */
  retryForMs: number
  changed(c: string, pending: PendingMessage[]): void
}

interface Entry {
  message: PendingMessage
  /** seq of the event, for acknowledged messages. */
  seq?: number
  /** The event, if it was delivered before the acknowledgement. */
  event?: { seq: number; at: string }
  readonly result: PromiseWithResolvers<Sent>
}

/** Returns the fields of a message that are sent. */
const fieldsOf = ({ c, m, text, replyTo, attachments, data }: PendingMessage): SendFields => ({
  c,
  m,
  text,
  ...(replyTo === undefined ? {} : { replyTo }),
  ...(attachments === undefined ? {} : { attachments: [...attachments] }),
  ...(data === undefined ? {} : { data }),
})

const retryMs = 250
const longestRetryMs = 5_000

/**
 * Pending messages by conversation, in the order of writing. One message per conversation is in flight, so neither
 * refusals nor reconnects reorder them. A message is removed when its event was delivered or it was discarded.
 */
export class Outbox {
  readonly #options: OutboxOptions
  readonly #entries = new Map<string, Entry[]>()
  readonly #sending = new Set<string>()
  #ended: RequestError | undefined

  constructor(options: OutboxOptions) {
    this.#options = options
  }

  /** A pending message with the same `m` is the same message. */
  add(fields: SendFields): Promise<Sent> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended)
    const { c, m } = fields
    const known = this.#find(c, m)
    if (known !== undefined) {
      this.retry(c, m)
      return known.result.promise
    }
    const result = Promise.withResolvers<Sent>()
    result.promise.catch(() => {})
    const message: PendingMessage = { ...fields, at: new Date().toISOString(), state: 'sending' }
    this.#entries.set(c, [...(this.#entries.get(c) ?? []), { message, result }])
    this.#changed(c)
    void this.#work(c)
    return result.promise
  }

  list(c: string): PendingMessage[] {
    return (this.#entries.get(c) ?? []).map(({ message }) => message)
  }

  /** Moves a failed message to the end of its conversation's queue. */
  retry(c: string, m: string): void {
    const entry = this.#find(c, m)
    if (entry?.message.state !== 'failed' || this.#ended !== undefined) return
    this.#take(c, m)
    void this.add(fieldsOf(entry.message))
  }

  /** Discards a failed message. A message in flight cannot be cancelled. */
  discard(c: string, m: string): void {
    if (this.#find(c, m)?.message.state !== 'failed') return
    this.#take(c, m)
    this.#changed(c)
  }

  /** Handles the delivery of an event of this user. */
  delivered(event: ConversationEvent): void {
    if (event.type !== 'message.posted') return
    const entry = this.#take(event.c, event.m)
    if (entry === undefined) return
    entry.event = { seq: event.seq, at: event.at }
    this.#changed(event.c)
  }

  /** Handles that a conversation is known up to `seq`. */
  caughtUp(c: string, seq: number): void {
    const known = (this.#entries.get(c) ?? []).filter(entry => entry.seq !== undefined && entry.seq <= seq)
    for (const { message } of known) this.#take(c, message.m)
    if (known.length > 0) this.#changed(c)
  }

  /**
   * Handles that events of a conversation are lost. Drops acknowledged messages whose events were not delivered: only
   * the operator can send them again. Messages without an acknowledgement stay, and are sent again with their ids.
   */
  lost(c: string): void {
    const acked = (this.#entries.get(c) ?? []).filter(entry => entry.seq !== undefined)
    for (const { message } of acked) this.#take(c, message.m)
    if (acked.length > 0) this.#changed(c)
  }

  end(error: RequestError): void {
    this.#ended = error
    for (const entries of this.#entries.values())
      for (const entry of entries) if (entry.message.state === 'sending') this.#fail(entry, error)
  }

  async #work(c: string): Promise<void> {
    if (this.#sending.has(c)) return
    this.#sending.add(c)
    for (;;) {
      const entry = this.#entries.get(c)?.find(({ message }) => message.state === 'sending')
      if (entry === undefined) break
      await this.#deliver(entry)
    }
    this.#sending.delete(c)
  }

  async #deliver(entry: Entry): Promise<void> {
    const fields = fieldsOf(entry.message)
    let deadline = performance.now() + this.#options.retryForMs
    for (let tries = 0; ; tries++) {
      try {
        this.#acked(entry, await this.#options.request(fields))
        return
      } catch (error) {
        const why = RequestError.is(error) ? error : closed(String(error))
        // Without an answer the server may have stored the message, or may still store it: only a refusal is a failure.
        if (!this.#options.isOpen() || why.code === 'TIMEOUT')
          deadline = performance.now() + this.#options.retryForMs
        const asked = why.body.retryAfterMs ?? 0
        // A wait longer than the timeout, such as in slow mode, is reported at once.
        if (this.#ended !== undefined || !why.retryable || performance.now() + asked >= deadline) {
          this.#fail(entry, this.#ended ?? why)
          return
        }
        if (why.code === 'TIMEOUT') continue
        const wait = asked + backoff(tries, retryMs, longestRetryMs)
        await new Promise(resolve => setTimeout(resolve, wait))
      }
    }
  }

  #acked(entry: Entry, answer: AnswerOf['send']): void {
    const { c, m } = entry.message
    const { seq, at, duplicate } = answer
    entry.result.resolve({ m, seq, at, duplicate })
    if (this.#find(c, m) !== entry) return
    entry.seq = seq
    entry.message = { ...entry.message, state: 'sent', at }
    if ((this.#options.cursor(c) ?? 0) >= seq) this.#take(c, m)
    this.#changed(c)
  }

  #fail(entry: Entry, error: RequestError): void {
    const { c, m } = entry.message
    // The event was delivered before the acknowledgement was lost: the message is stored.
    if (entry.event !== undefined) {
      entry.result.resolve({ m, ...entry.event, duplicate: false })
      return
    }
    entry.result.reject(error)
    if (this.#find(c, m) !== entry) return
    entry.message = { ...entry.message, state: 'failed', error: error.body }
    this.#changed(c)
  }

  #find(c: string, m: string): Entry | undefined {
    return this.#entries.get(c)?.find(({ message }) => message.m === m)
  }

  #take(c: string, m: string): Entry | undefined {
    const entry = this.#find(c, m)
    const rest = (this.#entries.get(c) ?? []).filter(other => other !== entry)
    if (rest.length > 0) this.#entries.set(c, rest)
    else this.#entries.delete(c)
    return entry
  }

  #changed(c: string): void {
    this.#options.changed(c, this.list(c))
  }
}
