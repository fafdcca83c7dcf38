import { errors } from '@elastic/elasticsearch'
import { CodedError } from '../../base/coded-error.ts'
import { ConfabError } from '../../events/index.ts'

/** Codes of Elasticsearch errors, for operators; see docs/errors.md. Clients receive `UNAVAILABLE`. */
export const ElasticsearchProblem = {
  /** No node answers in time. */
  unreachable: 'ELASTICSEARCH_UNREACHABLE',
  /** The credentials are refused or lack a permission. */
  credentials: 'ELASTICSEARCH_CREDENTIALS',
  /** A node is older than the minimum version. */
  tooOld: 'ELASTICSEARCH_TOO_OLD',
  /** The server is not Elasticsearch. */
  another: 'ELASTICSEARCH_NOT_IT',
  /** An index has another mapping than this confab writes. */
  mapping: 'ELASTICSEARCH_MAPPING',
  /** An index that existed is missing. */
  missing: 'ELASTICSEARCH_INDEX_MISSING',
  /** The server's queues are full (429) or shards are unavailable (503). */
  busy: 'ELASTICSEARCH_BUSY',
  /** The index accepts no writes: a disk over its flood stage, or a block that an operator set. */
  readOnly: 'ELASTICSEARCH_READ_ONLY',
  /** Any other error answer. */
  failed: 'ELASTICSEARCH_FAILED',
} as const
export type ElasticsearchProblem = (typeof ElasticsearchProblem)[keyof typeof ElasticsearchProblem]

/**
 * Thrown when Elasticsearch is unavailable or not set up as confab needs it. For the operator; a retry may succeed
 * once the cause is fixed.
 */
export class ElasticsearchError extends CodedError<ElasticsearchProblem> {
  constructor(code: ElasticsearchProblem, message: string, cause?: unknown) {
    super(code, `${code}: ${message}`, cause)
  }
}

/** The part of an error body, or of a bulk item, that describes the error. */
export interface Failure {
  readonly status: number
  readonly type: string
  readonly reason: string
}

/** Returns the error of an answer; undefined for errors without an answer. */
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

/** Names a failure that no single document caused. */
export const problemOf = ({ status, type, reason }: Failure, cause?: unknown): ElasticsearchError => {
  const named = (code: ElasticsearchProblem, what: string) => new ElasticsearchError(code, what, cause)
  if (status === 401) return named(ElasticsearchProblem.credentials, `the credentials are refused: ${reason}`)
  if (type === 'cluster_block_exception')
    return named(ElasticsearchProblem.readOnly, `the index accepts no writes: ${reason}`)
  if (status === 403)
    return named(ElasticsearchProblem.credentials, `the credentials do not allow this: ${reason}`)
  if (type === 'index_not_found_exception') return named(ElasticsearchProblem.missing, reason)
  if (type === 'strict_dynamic_mapping_exception')
    return named(ElasticsearchProblem.mapping, `an index has another mapping: ${reason}`)
  if (type === 'media_type_header_exception')
    return named(ElasticsearchProblem.tooOld, `the server does not support requests of version 9: ${reason}`)
  if (status === 429 || status === 503)
    return named(ElasticsearchProblem.busy, `the cluster is too busy (${status}): ${reason}`)
  if (status === 502 || status === 504)
    return named(ElasticsearchProblem.unreachable, `no node answers (${status}): ${reason}`)
  return named(ElasticsearchProblem.failed, `the cluster answered ${status} ${type}: ${reason}`)
}

/** Translates an error of a failed call for writers and operators. Other errors are returned unchanged. */
export const toElasticsearchError = (error: unknown): unknown => {
  const failure = failureOf(error)
  if (failure !== undefined) return problemOf(failure, error)
  if (error instanceof errors.ProductNotSupportedError)
    return new ElasticsearchError(
      ElasticsearchProblem.another,
      'the server at this address is not Elasticsearch',
      error,
    )
  if (error instanceof errors.DeserializationError)
    return new ElasticsearchError(
      ElasticsearchProblem.another,
      'the server at this address does not answer in JSON',
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

/** Runs a writer's calls; their errors get codes. */
export const named = async <T>(work: () => Promise<T>): Promise<T> => {
  try {
    return await work()
  } catch (error) {
    throw toElasticsearchError(error)
  }
}

/** Runs a reader's calls; every error becomes UNAVAILABLE for the client. */
export const answered = async <T>(work: () => Promise<T>): Promise<T> => {
  try {
    return await work()
  } catch (error) {
    const told = toElasticsearchError(error)
    if (!ElasticsearchError.is(told)) throw told
    throw new ConfabError('UNAVAILABLE', 'The search is unavailable. Try again later.', { cause: told })
  }
}
