import type { AnswerOf, RequestOf, RequestType } from '../events/index.ts'
import { closed, RequestError, type RequestErrorBody, timedOut } from './request-error.ts'
import { uuidV7 } from './uuid-v7.ts'

/** Commands that are the same command only by their key. (`send` has its message id; marks only grow, and need none.) */
const keyed: ReadonlySet<RequestType> = new Set<RequestType>([
  'create',
  'edit',
  'delete',
  'react',
  'invite',
  'remove',
  'role',
  'join',
  'leave',
  'rename',
])

/** What is worth nothing once the moment is gone: sent on an open connection or not at all. */
const momentary: ReadonlySet<RequestType> = new Set<RequestType>(['typing', 'ping'])

/** Requests that may wait for an answer at once; more are refused. */
const limit = 10_000

interface Waiting {
  /** Sent on the connection that there is now. */
  sent: boolean
  readonly frame: { id: string; t: RequestType }
  readonly timer: ReturnType<typeof setTimeout>
  resolve(answer: never): void
  reject(error: RequestError): void
}

/** Requests that wait for their answers. After a reconnect they are sent again, in the order that they were made, until answered or out of time. */
export class Requests {
  readonly #timeoutMs: number
  readonly #send: (frame: object) => boolean
  readonly #waiting = new Map<string, Waiting>()
  #made = 0
  #ended: RequestError | undefined

  constructor(options: { timeoutMs: number; send: (frame: object) => boolean }) {
    this.#timeoutMs = options.timeoutMs
    this.#send = options.send
  }

  make<T extends RequestType>(t: T, fields: Omit<RequestOf[T], 'id' | 't'>): Promise<AnswerOf[T]> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended)
    if (this.#waiting.size >= limit)
      return Promise.reject(
        new RequestError({
          code: 'OVERLOADED',
          message: 'Too many requests wait for an answer.',
          retryable: true,
        }),
      )
    const id = String(++this.#made)
    const frame = { id, t, ...(keyed.has(t) ? { key: uuidV7() } : {}), ...fields }
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id)
        reject(timedOut())
      }, this.#timeoutMs)
      const sent = this.#send(frame)
      this.#waiting.set(id, { sent, frame, timer, resolve, reject })
      if (!sent && momentary.has(t)) this.#settle(id)?.reject(closed('There is no connection.'))
    })
  }

  answer(frame: { re: string; ok: boolean; error?: RequestErrorBody }): void {
    const waiting = this.#settle(frame.re)
    if (frame.ok) waiting?.resolve(frame as never)
    else
      waiting?.reject(
        new RequestError(
          frame.error ?? { code: 'INTERNAL', message: 'It was refused, without a reason.', retryable: false },
        ),
      )
  }

  /** The connection is gone: what was only for that moment will not be answered. */
  interrupted(): void {
    for (const [id, waiting] of this.#waiting) {
      waiting.sent = false
      if (momentary.has(waiting.frame.t)) this.#settle(id)?.reject(closed('The connection was lost.'))
    }
  }

  /** There is a connection again. */
  resend(): void {
    for (const waiting of this.#waiting.values()) waiting.sent ||= this.#send(waiting.frame)
  }

  /** Rejects what waits, and whatever is asked from now on. */
  end(error: RequestError): void {
    this.#ended = error
    for (const id of this.#waiting.keys()) this.#settle(id)?.reject(error)
  }

  #settle(id: string): Waiting | undefined {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    clearTimeout(waiting?.timer)
    return waiting
  }
}
