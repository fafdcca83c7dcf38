import type { StreamInfo } from '@nats-io/jetstream'
import type { Msg } from '@nats-io/transport-node'
import { ConfabError, type StoredEvent } from '../../../events/index.ts'
import type { Nats, PendingRequest, ReplyInbox } from '../client/connection.ts'
import { ApiError, apiSubject } from '../client/jetstream-api.ts'
import { NatsProblem } from '../client/nats-error.ts'
import { headerText, statusIn } from '../client/raw-message.ts'
import { eventFromHeaders, toStoredEvent } from './stored-message.ts'
import { missingIn } from './stream-status.ts'

/**
 * The part of a stream to read: from `seq`, or from the first message at or after a time; of one subject, or of all.
 */
export interface BatchRequest {
  readonly seq?: number
  readonly start_time?: string
  readonly next_by_subj?: string
  readonly batch: number
  readonly max_bytes?: number
}

/** Returns the error for a log that cannot be read or written now. Clients do not receive `why`. */
export const unavailable = (why: string): ConfabError =>
  new ConfabError('UNAVAILABLE', 'The log cannot be reached. Try again.', {
    detail: `the log cannot be reached: ${why === 'refused' ? `${NatsProblem.rights}: NATS refused the request` : why}`,
  })

/** A direct get of several messages. */
class PendingBatch implements PendingRequest {
  readonly subject: string
  readonly #stream: string
  readonly #events: StoredEvent[] = []
  readonly #resolve: (events: StoredEvent[]) => void
  readonly #reject: (error: Error) => void

  constructor(stream: string, resolve: (events: StoredEvent[]) => void, reject: (error: Error) => void) {
    this.subject = apiSubject('DIRECT.GET', stream)
    this.#stream = stream
    this.#resolve = resolve
    this.#reject = reject
  }

  answer(msg: Msg): boolean {
    if (msg.data.length === 0) {
      const status = statusIn(headerText(msg))
      // 204: end of the batch. 404: no message found.
      if (status === 204 || status === 404) {
        this.#resolve(this.#events)
        return true
      }
      if (status !== 0) {
        this.#reject(unavailable(`status ${status}`))
        return true
      }
    }
    this.#events.push(eventFromHeaders(msg, this.#stream))
    return false
  }

  fail(why: string): void {
    this.#reject(unavailable(why))
  }
}

/** The JSON answer of the stream leader to a get. */
interface StoredMessageAnswer {
  readonly message?: {
    readonly subject: string
    readonly seq: number
    readonly hdrs?: string
    readonly data?: string
  }
  readonly error?: { readonly err_code?: number; readonly description?: string }
}

/** Reads stored messages. Every method rejects with ConfabError UNAVAILABLE when no answer arrives. */
export class LogReader {
  readonly #nats: Nats
  readonly #inbox: ReplyInbox

  constructor(nats: Nats, inbox: ReplyInbox) {
    this.#nats = nats
    this.#inbox = inbox
  }

  /**
   * Reads a batch by direct get, in ascending order. Any replica or mirror answers, and may be behind the leader.
   * Resolves with fewer events than requested, or none, at the end of that copy.
   */
  batch(stream: string, request: BatchRequest): Promise<StoredEvent[]> {
    return new Promise((resolve, reject) => {
      this.#send(request, new PendingBatch(stream, resolve, reject), reject)
    })
  }

  /**
   * Reads the last message of a subject, or the first of `next_by_subj` at or after `seq`, from the stream's leader.
   */
  leader(
    stream: string,
    request: { readonly last_by_subj: string } | { readonly seq: number; readonly next_by_subj: string },
  ): Promise<StoredEvent | undefined> {
    return this.#json<StoredMessageAnswer>(apiSubject('STREAM.MSG.GET', stream), request).then(
      ({ message, error }) => {
        if (error?.err_code === ApiError.noMessageFound) return undefined
        if (message === undefined) throw unavailable(error?.description ?? 'the answer cannot be parsed')
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

  /**
   * Reads the first and last sequence of a stream, and how many stored messages it lacks now. `isLed` is false when the
   * stream has no leader: a replica that lost the others answers too, and the values may be out of date.
   */
  async bounds(
    stream: string,
  ): Promise<{ first: number; last: number; missing: number; isLed: boolean; isMirror: boolean }> {
    const { state, config, cluster, error } = await this.#json<{
      state?: StreamInfo['state']
      config?: StreamInfo['config']
      cluster?: { leader?: string }
      error?: { description?: string }
    }>(apiSubject('STREAM.INFO', stream), {})
    if (state === undefined || config === undefined)
      throw unavailable(error?.description ?? `no stream ${stream}`)
    return {
      first: state.first_seq,
      last: state.last_seq,
      missing: missingIn({ state, config }),
      isLed: cluster === undefined || !!cluster.leader,
      isMirror: config.mirror !== undefined,
    }
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
      this.#send(request, { subject, answer, fail: why => reject(unavailable(why)) }, reject)
    })
  }

  #send(request: unknown, pending: PendingRequest, reject: (error: Error) => void): void {
    if (!this.#nats.connected()) {
      reject(unavailable('not connected'))
      return
    }
    const reply = this.#inbox.expect(pending)
    this.#nats.connection.publish(pending.subject, JSON.stringify(request), { reply })
  }
}
