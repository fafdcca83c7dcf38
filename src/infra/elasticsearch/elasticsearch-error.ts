import { errors } from '@elastic/elasticsearch'
import { ConfabError } from '../../events/index.ts'

/** What can be wrong with Elasticsearch. docs/errors.md lists these for operators; clients see `UNAVAILABLE`. */
export const ElasticsearchProblem = {
  /** No node answers, or not in time. */
  unreachable: 'ELASTICSEARCH_UNREACHABLE',
  /** It refuses the credentials, or they may not do what is needed. */
  credentials: 'ELASTICSEARCH_CREDENTIALS',
  /** A node is older than confab needs. */
  tooOld: 'ELASTICSEARCH_TOO_OLD',
  /** What answers is something else. */
  another: 'ELASTICSEARCH_NOT_IT',
  /** An index has another mapping than this confab writes. */
  mapping: 'ELASTICSEARCH_MAPPING',
  /** An index that was there is gone. */
  missing: 'ELASTICSEARCH_INDEX_MISSING',
  /** Its queues are full (429), or shards are not there at the moment (503). */
  busy: 'ELASTICSEARCH_BUSY',
  /** It takes no writes: a disk over its flood stage, or a block that somebody has set. */
  readOnly: 'ELASTICSEARCH_READ_ONLY',
  /** Anything else that it answered. */
  failed: 'ELASTICSEARCH_FAILED',
} as const
export type ElasticsearchProblem = (typeof ElasticsearchProblem)[keyof typeof ElasticsearchProblem]

/** Elasticsearch is not there, or not as confab needs it: for the operator. Trying again may help, once the cause is mended. */
export class ElasticsearchError extends Error {
  readonly code: ElasticsearchProblem

  constructor(code: ElasticsearchProblem, message: string, cause?: unknown) {
    super(`${code}: ${message}`, cause === undefined ? {} : { cause })
    this.name = 'ElasticsearchError'
    this.code = code
  }

  static is = (error: unknown): error is ElasticsearchError => error instanceof ElasticsearchError
}

/** The part of an error body, or of an item of a bulk answer, that says what happened. */
export interface Failure {
  readonly status: number
  readonly type: string
  readonly reason: string
}

/** What an answer says went wrong; undefined for errors that are no answers. */
export const failureOf = (error: unknown): Failure | undefined => {
  if (!(error instanceof errors.ResponseError)) return undefined
  const body = error.body as { error?: { type?: string; reason?: string } | string } | undefined
  const told = body?.error
  return {
    status: error.statusCode ?? 0,
    type: typeof told === 'object' ? (told.type ?? '') : '',
    reason: typeof told === 'object' ? (told.reason ?? error.message) : (told ?? error.message),
  }
}

/** Names a failure that is not the fault of one document. */
export const problemOf = ({ status, type, reason }: Failure, cause?: unknown): ElasticsearchError => {
  const named = (code: ElasticsearchProblem, what: string) => new ElasticsearchError(code, what, cause)
  if (status === 401) return named(ElasticsearchProblem.credentials, `the credentials are refused: ${reason}`)
  if (type === 'cluster_block_exception')
    return named(ElasticsearchProblem.readOnly, `the index takes no writes: ${reason}`)
  if (status === 403)
    return named(ElasticsearchProblem.credentials, `the credentials do not allow this: ${reason}`)
  if (type === 'index_not_found_exception') return named(ElasticsearchProblem.missing, reason)
  if (type === 'strict_dynamic_mapping_exception')
    return named(ElasticsearchProblem.mapping, `an index has another mapping: ${reason}`)
  if (type === 'media_type_header_exception')
    return named(ElasticsearchProblem.tooOld, `the server does not know requests of version 9: ${reason}`)
  if (status === 429 || status === 503)
    return named(ElasticsearchProblem.busy, `it is too busy (${status}): ${reason}`)
  if (status === 502 || status === 504)
    return named(ElasticsearchProblem.unreachable, `no node answers (${status}): ${reason}`)
  return named(ElasticsearchProblem.failed, `it answered ${status} ${type}: ${reason}`)
}

/** What a failed call means, for those who write and operate. Others' errors pass as they are. */
export const toElasticsearchError = (error: unknown): unknown => {
  const failure = failureOf(error)
  if (failure !== undefined) return problemOf(failure, error)
  if (error instanceof errors.ProductNotSupportedError)
    return new ElasticsearchError(
      ElasticsearchProblem.another,
      'what answers there is not Elasticsearch',
      error,
    )
  if (error instanceof errors.DeserializationError)
    return new ElasticsearchError(
      ElasticsearchProblem.another,
      'what answers there does not speak JSON',
      error,
    )
  if (error instanceof errors.ElasticsearchClientError)
    return new ElasticsearchError(
      ElasticsearchProblem.unreachable,
      `no node answers: ${error.message}`,
      error,
    )
  return error
}

/** Runs calls of a writer; their errors are named. */
export const named = async <T>(work: () => Promise<T>): Promise<T> => {
  try {
    return await work()
  } catch (error) {
    throw toElasticsearchError(error)
  }
}

/** Runs calls of a reader: to a client, whatever is wrong is UNAVAILABLE. */
export const answered = async <T>(work: () => Promise<T>): Promise<T> => {
  try {
    return await work()
  } catch (error) {
    const told = toElasticsearchError(error)
    if (!ElasticsearchError.is(told)) throw told
    throw new ConfabError('UNAVAILABLE', 'The search cannot be reached at the moment.', { cause: told })
  }
}
