import type { AnswerOf, RequestOf, RequestType } from '../events/index.ts'
import { closed, RequestError, type RequestErrorBody, timedOut } from './request-error.ts'
import { uuidV7 } from './uuid-v7.ts'

/** Commands that need a key to be idempotent. (`send` has its message id; markers only grow.) */
const keyed: ReadonlySet<RequestType> = new Set<RequestType>([
  'create',
  'edit',
  'delete',
  'react',
  'invite',
  'accept',
  'decline',
  'remove',
  'ban',
  'unban',
  'role',
  'join',
  'leave',
  'rename',
  'settings',
])

/** Requests that are only useful at once: sent over an open connection or not at all. */
const momentary: ReadonlySet<RequestType> = new Set<RequestType>(['typing', 'call', 'ping'])

/** Maximum number of requests that wait for an answer. */
const limit = 10_000

/** Maximum number of requests in flight, if the server does not announce one. */
const defaultWindow = 100

interface Waiting {
  readonly frame: { id: string; t: RequestType }
  readonly timer: ReturnType<typeof setTimeout>
  resolve(answer: never): void
  reject(error: RequestError): void
}

/**
 * Requests waiting for their answers, sent in the order of the calls, at most as many at once as the server accepts.
 * They are repeated after a reconnect until answered or timed out.
 */
export class Requests {
  readonly #timeoutMs: number
  readonly #send: (frame: object) => boolean
  /** Requests to send, in order; then those sent on the current connection. */
  #queued = new Map<string, Waiting>()
  #sent = new Map<string, Waiting>()
  #window = defaultWindow
  #made = 0
  #ended: RequestError | undefined

  /** `send` returns whether a connection took the frame. */
  constructor(options: { timeoutMs: number; send: (frame: object) => boolean }) {
    this.#timeoutMs = options.timeoutMs
    this.#send = options.send
  }

  make<T extends RequestType>(t: T, fields: Omit<RequestOf[T], 'id' | 't'>): Promise<AnswerOf[T]> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended)
    if (this.#queued.size + this.#sent.size >= limit) return Promise.reject(overloaded())
    const id = String(++this.#made)
    const frame = { id, t, ...(keyed.has(t) ? { key: uuidV7() } : {}), ...fields }
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#settle(id)?.reject(timedOut()), this.#timeoutMs)
      this.#queued.set(id, { frame, timer, resolve, reject })
      this.#sendNext()
      if (momentary.has(t) && this.#queued.has(id))
        this.#settle(id)?.reject(closed('There is no connection.'))
    })
  }

  answer(frame: { re: string; ok: boolean; error?: RequestErrorBody }): void {
    const waiting = this.#settle(frame.re)
    if (frame.ok) waiting?.resolve(frame as never)
    else waiting?.reject(new RequestError(frame.error ?? unexplained))
  }

  /** The connection was lost: momentary requests fail. */
  interrupted(): void {
    this.#queued = new Map([...this.#sent, ...this.#queued])
    this.#sent = new Map()
    for (const [id, { frame }] of this.#queued)
      if (momentary.has(frame.t)) this.#settle(id)?.reject(closed('The connection was lost.'))
  }

  /** A connection is open and accepts this many requests at once. */
  resend(window = defaultWindow): void {
    this.#window = window
    this.#sendNext()
  }

  /** Rejects waiting and later requests. */
  end(error: RequestError): void {
    this.#ended = error
    for (const id of [...this.#sent.keys(), ...this.#queued.keys()]) this.#settle(id)?.reject(error)
  }

  #sendNext(): void {
    for (const [id, waiting] of this.#queued) {
      if (this.#sent.size >= this.#window || !this.#send(waiting.frame)) return
      this.#queued.delete(id)
      this.#sent.set(id, waiting)
    }
  }

  #settle(id: string): Waiting | undefined {
    const waiting = this.#sent.get(id) ?? this.#queued.get(id)
    clearTimeout(waiting?.timer)
    this.#queued.delete(id)
    if (this.#sent.delete(id) && this.#ended === undefined) this.#sendNext()
    return waiting
  }
}

const overloaded = (): RequestError =>
  new RequestError({
    code: 'OVERLOADED',
    message: 'Too many requests wait for an answer.',
    retryable: true,
  })

const unexplained: RequestErrorBody = {
  code: 'INTERNAL',
  message: 'The request was refused without a reason.',
  retryable: false,
}
