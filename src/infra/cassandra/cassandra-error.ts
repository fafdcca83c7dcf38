import { errors, types } from 'cassandra-driver'
import { ConfabError } from '../../events/index.ts'
import { ChangeRejectedError } from '../../projections/index.ts'

/** What can be wrong with Cassandra at start. docs/errors.md lists these for operators; clients never see them. */
export const CassandraProblem = {
  /** None of the contact points answers. */
  unreachable: 'CASSANDRA_UNREACHABLE',
  /** Name or password are missing or wrong, or do not allow what confab needs. */
  credentials: 'CASSANDRA_CREDENTIALS',
  /** The servers are in other data centres than the one that was named. */
  dataCenter: 'CASSANDRA_DATACENTER',
  /** The keyspace is not there. */
  noKeyspace: 'CASSANDRA_NO_KEYSPACE',
  /** The keyspace has tables of an older version of confab. */
  older: 'CASSANDRA_KEYSPACE_OLDER',
  /** The keyspace has tables of a newer version of confab. */
  newer: 'CASSANDRA_KEYSPACE_NEWER',
  /** Somebody else has been changing the tables for too long, or the servers do not agree on them. */
  schema: 'CASSANDRA_SCHEMA',
} as const
export type CassandraProblem = (typeof CassandraProblem)[keyof typeof CassandraProblem]

/** Cassandra is not there, or not as confab needs it: for the operator, with what to do in its message. */
export class CassandraError extends Error {
  readonly code: CassandraProblem

  constructor(code: CassandraProblem, message: string, cause?: unknown) {
    super(message, cause === undefined ? {} : { cause })
    this.name = 'CassandraError'
    this.code = code
  }

  static is = (error: unknown): error is CassandraError => error instanceof CassandraError
}

const { responseErrorCodes } = types
const codeOf = (error: unknown): number | undefined =>
  error instanceof errors.ResponseError ? error.code : undefined

/** The first line of an error, those of the servers that were tried included. */
const reasonOf = (error: unknown): string => {
  const { innerErrors } = error as { innerErrors?: Record<string, unknown> }
  const [first] = Object.entries(innerErrors ?? {})
  const line = (of: unknown) => (of instanceof Error ? of.message : String(of)).split('\n')[0] ?? ''
  return first === undefined ? line(error) : `${first[0]}: ${line(first[1])}`
}

/** All that went wrong, by server. */
const causesOf = (error: unknown): unknown[] => [
  error,
  ...Object.values((error as { innerErrors?: Record<string, unknown> } | undefined)?.innerErrors ?? {}),
]

const isDenied = (error: unknown): boolean =>
  error instanceof errors.AuthenticationError ||
  codeOf(error) === responseErrorCodes.badCredentials ||
  codeOf(error) === responseErrorCodes.unauthorized

/** What a failed start means. Others' errors pass as they are. */
export const toStartError = (error: unknown, contactPoints: readonly string[], keyspace: string): unknown => {
  if (CassandraError.is(error)) return error
  const at = contactPoints.join(', ')
  const causes = causesOf(error)
  const denied = causes.find(isDenied)
  if (denied !== undefined)
    return new CassandraError(
      CassandraProblem.credentials,
      `Cassandra at ${at} refuses the credentials (${reasonOf(denied)}): set cassandra.username and cassandra.password`,
      error,
    )
  const elsewhere = causes.find(cause => /^ArgumentError: Datacenter .+ was not found/.test(String(cause)))
  if (elsewhere !== undefined)
    return new CassandraError(
      CassandraProblem.dataCenter,
      `Cassandra at ${at} is not in that data centre: ${reasonOf(elsewhere)}; set cassandra.dataCenter`,
      error,
    )
  if (causes.some(cause => /^Keyspace '?.+'? does not exist/i.test((cause as Error).message ?? '')))
    return new CassandraError(
      CassandraProblem.noKeyspace,
      `Cassandra at ${at} has no keyspace ${keyspace}: run "confab stores migrate"`,
      error,
    )
  if (error instanceof errors.NoHostAvailableError || error instanceof errors.OperationTimedOutError)
    return new CassandraError(
      CassandraProblem.unreachable,
      `Cassandra is not reached: ${reasonOf(error)} (of ${at})`,
      error,
    )
  return error
}

/** What the server says of a row that it will never store. */
const rejections = /^(Key (length|may not be empty)|Rejected an oversized mutation|Request is too big)/

/**
 * What a failed read or write means: ChangeRejectedError for a row that can't be stored, else ConfabError UNAVAILABLE. Others' errors pass as they are.
 */
export const toStoreError = (error: unknown): unknown => {
  if (codeOf(error) === responseErrorCodes.invalid && rejections.test((error as Error).message))
    return new ChangeRejectedError((error as Error).message, error)
  // A part of a partition key that is too long, found while the driver looks for its node.
  if (error instanceof RangeError) return new ChangeRejectedError(error.message, error)
  // A value that no column takes.
  if (error instanceof TypeError && /^Not a valid/.test(error.message))
    return new ChangeRejectedError(error.message, error)
  if (
    error instanceof errors.ResponseError ||
    error instanceof errors.NoHostAvailableError ||
    error instanceof errors.OperationTimedOutError ||
    error instanceof errors.BusyConnectionError
  )
    return new ConfabError('UNAVAILABLE', `The views' Cassandra: ${reasonOf(error)}.`, { cause: error })
  return error
}
