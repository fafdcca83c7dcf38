import { CodedError } from '../base/coded-error.ts'
import type { StoredEvent } from './stored-event.ts'
import type { AggregateRef } from './subjects.ts'

/**
 * The error codes of clients, with HTTP status, retry advice and message. docs/errors.md lists them; a test compares
 * both.
 */
export const ErrorRegistry = {
  BAD_REQUEST: {
    status: 400,
    retryable: false,
    message: 'The request does not have the form that its type requires.',
  },
  UNAUTHENTICATED: {
    status: 401,
    retryable: false,
    message: 'The token is missing, malformed or expired.',
  },
  FORBIDDEN: { status: 403, retryable: false, message: 'You are not allowed to do this here.' },
  NOT_FOUND: {
    status: 404,
    retryable: false,
    message: 'It does not exist, or you are not allowed to see it.',
  },
  METHOD_NOT_ALLOWED: {
    status: 405,
    retryable: false,
    message: 'Method not allowed. The Allow header lists the methods of this path.',
  },
  NOT_MEMBER: { status: 403, retryable: false, message: 'You are not a member of this conversation.' },
  BANNED: { status: 403, retryable: false, message: 'You are banned from this conversation.' },
  ARCHIVED: {
    status: 409,
    retryable: false,
    message: 'This conversation is archived. An owner or admin can open it again.',
  },
  ALREADY_EXISTS: { status: 409, retryable: false, message: 'This id is already in use.' },
  CONFLICT: { status: 409, retryable: false, message: 'The request conflicts with the current state.' },
  TOO_LARGE: { status: 413, retryable: false, message: 'The request exceeds the allowed size.' },
  MEDIA_INCOMPLETE: {
    status: 409,
    retryable: false,
    message: 'This upload has not been completed and verified.',
  },
  MEDIA_MISMATCH: {
    status: 422,
    retryable: false,
    message: 'The uploaded content does not match the announced size, hash or type.',
  },
  URL_EXPIRED: { status: 403, retryable: false, message: 'This signed URL is invalid or has expired.' },
  RATE_LIMITED: { status: 429, retryable: true, message: 'Too many requests. Wait before the next one.' },
  QUOTA_EXCEEDED: {
    status: 429,
    retryable: false,
    message: 'The daily quota of this user is used up. Try again tomorrow.',
  },
  OVERLOADED: {
    status: 503,
    retryable: true,
    message: 'The system is overloaded. Try again later.',
  },
  UNAVAILABLE: {
    status: 503,
    retryable: true,
    message: 'A component that this request needs cannot be reached. Try again.',
  },
  UNREADABLE_EVENT: {
    status: 503,
    retryable: true,
    message:
      'The log holds an event that this server cannot read, so the request was not executed. Try again later.',
  },
  LOG_DAMAGED: {
    status: 500,
    retryable: false,
    message:
      'The log has lost events of this conversation or user, so the request was not executed. The operator of the server has to repair the log.',
  },
  INTERNAL: { status: 500, retryable: true, message: 'Internal error.' },
} as const

export type ErrorCode = keyof typeof ErrorRegistry

/** An error as clients receive it. */
export interface ErrorBody {
  readonly code: ErrorCode
  readonly message: string
  readonly retryable: boolean
  /** The field that is wrong, as a JSON pointer. */
  readonly field?: string
  /** The conversation that exists already. */
  readonly c?: string
  /** How long to wait before the next attempt, ms. */
  readonly retryAfterMs?: number
  /** End of a ban, ISO 8601. */
  readonly until?: string
}

/** The fields that only some errors have. */
export type ErrorDetails = Omit<ErrorBody, 'code' | 'message' | 'retryable'>

/** Returns the fields that only some errors have, of an error or a refusal. */
export const errorDetails = ({
  field,
  c,
  retryAfterMs,
  until,
}: { readonly [K in keyof ErrorDetails]?: ErrorDetails[K] | undefined }): ErrorDetails => ({
  ...(field === undefined ? {} : { field }),
  ...(c === undefined ? {} : { c }),
  // Clocks count fractions of a millisecond, and the protocol does not.
  ...(retryAfterMs === undefined ? {} : { retryAfterMs: Math.ceil(retryAfterMs) }),
  ...(until === undefined ? {} : { until }),
})

/**
 * An error that clients may see: its message is safe to show, its code is in the registry. A message never contains the
 * text of another system's error, which may name addresses and paths: such a text is the `detail`.
 */
export class ConfabError extends CodedError<ErrorCode> {
  readonly field: string | undefined
  readonly c: string | undefined
  readonly retryAfterMs: number | undefined
  readonly until: string | undefined

  /** The message for operators, where it is another one. Clients never receive it. */
  readonly detail: string | undefined

  constructor(
    code: ErrorCode,
    message?: string,
    details: ErrorDetails & { readonly detail?: string; readonly cause?: unknown } = {},
  ) {
    super(code, message ?? ErrorRegistry[code].message, details.cause)
    this.field = details.field
    this.c = details.c
    this.retryAfterMs = details.retryAfterMs
    this.until = details.until
    this.detail = details.detail
  }

  /**
   * Returns the error that clients see in place of any error: UNREADABLE_EVENT, LOG_DAMAGED or INTERNAL when it has no
   * code of ours.
   */
  static from(error: unknown): ConfabError {
    if (ConfabError.is(error)) return error
    if (LogDamagedError.is(error))
      return new ConfabError('LOG_DAMAGED', undefined, {
        cause: error,
        ...(error.aggregate.family === 'conv' ? { field: '/c' } : {}),
      })
    const code = UnreadableEventError.is(error) ? 'UNREADABLE_EVENT' : 'INTERNAL'
    return new ConfabError(code, undefined, { cause: error })
  }

  toBody(): ErrorBody {
    const { code, message } = this
    return { code, message, retryable: ErrorRegistry[code].retryable, ...errorDetails(this) }
  }
}

/** Returns the text of an error for operators. It may name addresses and paths. */
export const operatorText = (error: unknown): string => {
  if (ConfabError.is(error)) return error.detail ?? error.message
  return error instanceof Error ? error.message : String(error)
}

/**
 * Why an event cannot be decoded. `unknown-type`: a newer build may have written it, and readers may skip it by its
 * `seq`. `newer-version`: a newer build wrote a known type. `malformed`: the body does not match its type and
 * version.
 */
export type UnreadableReason = 'unknown-type' | 'newer-version' | 'malformed'

/**
 * Thrown when a stored event cannot be decoded. The message names stream, sequence, type and version, and never
 * quotes the body.
 */
export class UnreadableEventError extends CodedError<UnreadableReason> {
  readonly stream: string
  readonly streamSeq: number
  readonly type: string
  readonly version: number

  constructor(reason: UnreadableReason, { stream, streamSeq, envelope }: StoredEvent, why: string) {
    const { type, version } = envelope
    super(reason, `stream ${stream} sequence ${streamSeq} (${type || 'no type'} version ${version}): ${why}`)
    this.stream = stream
    this.streamSeq = streamSeq
    this.type = type
    this.version = version
  }
}

/**
 * Thrown when the log lacks events of an aggregate that it once stored: a limit, a purge, a delete or a failed disk
 * removed them. No state can be built then, and no append may follow.
 */
export class LogDamagedError extends CodedError<'LOG_DAMAGED'> {
  readonly aggregate: AggregateRef
  /** The first missing event. */
  readonly seq: number

  /** `upTo`: the last event that is missing in a row. */
  constructor(aggregate: AggregateRef, seq: number, upTo: number) {
    const { family, id } = aggregate
    const owner = family === 'conv' ? 'conversation' : 'user'
    const events = upTo > seq ? `events ${seq} to ${upTo}` : `event ${seq}`
    super('LOG_DAMAGED', `the log lacks ${events} of ${owner} ${id}`)
    this.aggregate = aggregate
    this.seq = seq
  }
}
