import type { Msg } from '@nats-io/transport-node'
import { ConfabError, type StoredEvent } from '../../../events/index.ts'
import type { Nats } from '../client/connection.ts'
import { headerText, statusIn } from '../client/raw-message.ts'
import type { ReplyInbox, Waiting } from '../client/reply-inbox.ts'
import { eventFromHeaders, toStoredEvent } from './stored-message.ts'

/** What of a stream: from `seq` (or the first at or after a time) on; of one subject, or of all. */
export interface BatchRequest {
  readonly seq?: number
  readonly start_time?: string
  readonly next_by_subj?: string
  readonly batch: number
  readonly max_bytes?: number
}

export const unavailable = (why: string): ConfabError =>
  new ConfabError('UNAVAILABLE', `the log cannot be reached: ${why}`)

class BatchWaiting implements Waiting {
  readonly #events: StoredEvent[] = []
  readonly #done: (events: StoredEvent[]) => void
  readonly #failed: (error: Error) => void

  constructor(done: (events: StoredEvent[]) => void, failed: (error: Error) => void) {
    this.#done = done
    this.#failed = failed
  }

  answer(msg: Msg): boolean {
    if (msg.data.length === 0) {
      const status = statusIn(headerText(msg))
      // 204: the end of the batch. 404: nothing there.
      if (status === 204 || status === 404) {
        this.#done(this.#events)
        return true
      }
      if (status !== 0) {
        this.#failed(unavailable(`status ${status}`))
        return true
      }
    }
    this.#events.push(eventFromHeaders(msg))
    return false
  }

  fail(why: string): void {
    this.#failed(unavailable(why))
  }
}

/** What the leader's own get answers with, JSON. */
interface StoredMessageAnswer {
  readonly message?: {
    readonly subject: string
    readonly seq: number
    readonly hdrs?: string
    readonly data?: string
  }
  readonly error?: { readonly err_code?: number; readonly description?: string }
}

const noMessageFound = 10037

/** Reads stored messages. Everything rejects with ConfabError UNAVAILABLE when no answer comes. */
export class LogReader {
  readonly #nats: Nats
  readonly #inbox: ReplyInbox

  constructor(nats: Nats, inbox: ReplyInbox) {
    this.#nats = nats
    this.#inbox = inbox
  }

  /** A batch by direct get, ascending: from any replica, which may be behind the leader. Fewer than asked for, or none, where its stream ends. */
  batch(stream: string, request: BatchRequest): Promise<StoredEvent[]> {
    return new Promise((resolve, reject) => {
      this.#ask(`$JS.API.DIRECT.GET.${stream}`, request, new BatchWaiting(resolve, reject), reject)
    })
  }

  /** The last message of a subject, or the first of `next_by_subj` at or after `seq`, as the leader knows it. */
  leader(
    stream: string,
    request: { readonly last_by_subj: string } | { readonly seq: number; readonly next_by_subj: string },
  ): Promise<StoredEvent | undefined> {
    return this.#json<StoredMessageAnswer>(`$JS.API.STREAM.MSG.GET.${stream}`, request).then(
      ({ message, error }) => {
        if (error?.err_code === noMessageFound) return undefined
        if (message === undefined) throw unavailable(error?.description ?? 'an answer that makes no sense')
        return toStoredEvent(
          stream,
          message.seq,
          message.subject,
          Buffer.from(message.hdrs ?? '', 'base64').toString('latin1'),
          Buffer.from(message.data ?? '', 'base64'),
        )
      },
    )
  }

  /** The stream's first and last sequence, as the leader knows them; where `isLed` is false, as a copy does that has lost the others and answers all the same. */
  async bounds(stream: string): Promise<{ first: number; last: number; isLed: boolean }> {
    const { state, cluster, error } = await this.#json<{
      state?: { first_seq: number; last_seq: number }
      cluster?: { leader?: string }
      error?: { description?: string }
    }>(`$JS.API.STREAM.INFO.${stream}`, {})
    if (state === undefined) throw unavailable(error?.description ?? `no ${stream}`)
    return { first: state.first_seq, last: state.last_seq, isLed: cluster === undefined || !!cluster.leader }
  }

  #json<T>(subject: string, request: unknown): Promise<T> {
    return new Promise((resolve, reject) => {
      const answer = (msg: Msg): boolean => {
        try {
          if (msg.data.length === 0) reject(unavailable(`status ${statusIn(headerText(msg))}`))
          else resolve(msg.json<T>())
        } catch (error) {
          reject(unavailable(String(error)))
        }
        return true
      }
      this.#ask(subject, request, { answer, fail: why => reject(unavailable(why)) }, reject)
    })
  }

  #ask(subject: string, request: unknown, waiting: Waiting, reject: (error: Error) => void): void {
    if (!this.#nats.connected()) {
      reject(unavailable('not connected'))
      return
    }
    this.#nats.connection.publish(subject, JSON.stringify(request), { reply: this.#inbox.expect(waiting) })
  }
}
