import type { ErrorBody, ErrorCode } from '../events/index.ts'

/**
 * The server's codes and the client's own: TIMEOUT, no answer in time; CLOSED, the client was closed or its token
 * refused.
 */
export type RequestErrorCode = ErrorCode | 'TIMEOUT' | 'CLOSED'

/** Why a request failed, as data. */
export interface RequestErrorBody extends Omit<ErrorBody, 'code'> {
  readonly code: RequestErrorCode
}

/** Rejection of `request` and `send`. The message is safe to show to users. */
export class RequestError extends Error {
  readonly code: RequestErrorCode
  /** Whether the same request may succeed later. */
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
  new RequestError({ code: 'TIMEOUT', message: 'The server did not answer in time.', retryable: true })

export const closed = (why: string): RequestError =>
  new RequestError({ code: 'CLOSED', message: why, retryable: false })
