import type { ErrorBody, ErrorCode } from '../events/index.ts'

/** A code of the server's, or the client's own: no answer in time; the client was closed, or its token refused, before the answer. */
export type RequestErrorCode = ErrorCode | 'TIMEOUT' | 'CLOSED'

/** Why a request failed, as data. */
export interface RequestErrorBody extends Omit<ErrorBody, 'code'> {
  readonly code: RequestErrorCode
}

/** What `request` and `send` reject with. The message is safe to show. */
export class RequestError extends Error {
  readonly code: RequestErrorCode
  /** Whether the same request may do better later. */
  readonly retryable: boolean
  readonly body: RequestErrorBody

  static is = (error: unknown): error is RequestError => error instanceof RequestError

  constructor(body: RequestErrorBody) {
    super(body.message)
    this.name = 'RequestError'
    this.code = body.code
    this.retryable = body.retryable
    this.body = body
  }
}

export const timedOut = (): RequestError =>
  new RequestError({ code: 'TIMEOUT', message: 'No answer came in time.', retryable: true })

export const closed = (why: string): RequestError =>
  new RequestError({ code: 'CLOSED', message: why, retryable: false })
