/** The codes that a client can meet, with what each means. docs/errors.md explains them; a test ties the two. */
export const ErrorRegistry = {
  BAD_REQUEST: {
    status: 400,
    retryable: false,
    message: 'The request is not of the form that its type asks for.',
  },
  UNAUTHENTICATED: { status: 401, retryable: false, message: 'There is no valid token.' },
  FORBIDDEN: { status: 403, retryable: false, message: 'You may not do this here.' },
  NOT_FOUND: {
    status: 404,
    retryable: false,
    message: 'There is no such thing, or none that you may know of.',
  },
  METHOD_NOT_ALLOWED: { status: 405, retryable: false, message: 'This path has other methods.' },
  NOT_MEMBER: { status: 403, retryable: false, message: 'You are not a member of this conversation.' },
  ALREADY_EXISTS: { status: 409, retryable: false, message: 'This id is taken.' },
  CONFLICT: { status: 409, retryable: false, message: 'Something else stands where this would go.' },
  TOO_LARGE: { status: 413, retryable: false, message: 'This is over the size that is allowed.' },
  MEDIA_INCOMPLETE: {
    status: 409,
    retryable: false,
    message: 'This upload has not been completed and verified.',
  },
  MEDIA_MISMATCH: {
    status: 422,
    retryable: false,
    message: 'What was uploaded is not what was announced.',
  },
  URL_EXPIRED: { status: 403, retryable: false, message: 'This URL is not good, or no longer.' },
  RATE_LIMITED: { status: 429, retryable: true, message: 'Too many requests; wait before the next.' },
  OVERLOADED: {
    status: 503,
    retryable: true,
    message: 'The system has more work than it can take; try again later.',
  },
  UNAVAILABLE: {
    status: 503,
    retryable: true,
    message: 'A part that this needs cannot be reached; try again.',
  },
  INTERNAL: { status: 500, retryable: true, message: 'Something went wrong that should not have.' },
} as const

export type ErrorCode = keyof typeof ErrorRegistry

/** An error as it stands in an answer. */
export interface ErrorBody {
  readonly code: ErrorCode
  readonly message: string
  readonly retryable: boolean
  /** The field that was wrong, as a JSON pointer. */
  readonly field?: string
  /** How long to wait before trying again, ms. */
  readonly retryAfterMs?: number
}

/** An error that a client may see: its message is safe to show, its code is in the registry. */
export class ConfabError extends Error {
  readonly code: ErrorCode
  readonly field: string | undefined
  readonly retryAfterMs: number | undefined

  constructor(
    code: ErrorCode,
    message?: string,
    details: { field?: string; retryAfterMs?: number; cause?: unknown } = {},
  ) {
    super(message ?? ErrorRegistry[code].message, { cause: details.cause })
    this.name = 'ConfabError'
    this.code = code
    this.field = details.field
    this.retryAfterMs = details.retryAfterMs
  }

  static is(error: unknown): error is ConfabError {
    return error instanceof ConfabError
  }

  toBody(): ErrorBody {
    const body: { -readonly [K in keyof ErrorBody]: ErrorBody[K] } = {
      code: this.code,
      message: this.message,
      retryable: ErrorRegistry[this.code].retryable,
    }
    if (this.field !== undefined) body.field = this.field
    if (this.retryAfterMs !== undefined) body.retryAfterMs = this.retryAfterMs
    return body
  }
}
