import { errors, types } from 'cassandra-driver'
import { CodedError } from '../../base/coded-error.ts'
import { ConfabError } from '../../events/index.ts'
import { ChangeRejectedError } from '../../projections/index.ts'

/** Codes of Cassandra start-up errors, for operators; see docs/errors.md. Clients never receive them. */
export const CassandraProblem = {
  /** No contact point answers. */
  unreachable: 'CASSANDRA_UNREACHABLE',
  /** The user name or password is missing or wrong, or lacks a permission that confab needs. */
  credentials: 'CASSANDRA_CREDENTIALS',
  /** The nodes are in other data centres than the configured one. */
  dataCenter: 'CASSANDRA_DATACENTER',
  /** The keyspace does not exist. */
  noKeyspace: 'CASSANDRA_NO_KEYSPACE',
  /** The keyspace has the tables of an older confab. */
  older: 'CASSANDRA_KEYSPACE_OLDER',
  /** The keyspace has the tables of a newer confab. */
  newer: 'CASSANDRA_KEYSPACE_NEWER',
  /** Another process held the schema lock for too long, or the nodes disagree on the schema. */
  schema: 'CASSANDRA_SCHEMA',
} as const
export type CassandraProblem = (typeof CassandraProblem)[keyof typeof CassandraProblem]

/**
 * Thrown when Cassandra is unavailable or not set up as confab needs it. The message tells an operator what to do.
 */
export class CassandraError extends CodedError<CassandraProblem> {}

const { responseErrorCodes } = types
const codeOf = (error: unknown): number | undefined =>
  error instanceof errors.ResponseError ? error.code : undefined

/** Returns the first line of an error, including the errors of the nodes that were tried. */
const reasonOf = (error: unknown): string => {
  const { innerErrors } = error as { innerErrors?: Record<string, unknown> }
  const [first] = Object.entries(innerErrors ?? {})
  const line = (of: unknown) => (of instanceof Error ? of.message : String(of)).split('\n')[0] ?? ''
  return first === undefined ? line(error) : `${first[0]}: ${line(first[1])}`
}

/** Returns all errors, by node. */
const causesOf = (error: unknown): unknown[] => [
  error,
  ...Object.values((error as { innerErrors?: Record<string, unknown> } | undefined)?.innerErrors ?? {}),
]

const isDenied = (error: unknown): boolean =>
  error instanceof errors.AuthenticationError ||
  codeOf(error) === responseErrorCodes.badCredentials ||
  codeOf(error) === responseErrorCodes.unauthorized

/** Translates an error of a failed start. Other errors are returned unchanged. */
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
      `Cassandra at ${at} has no node in the configured data centre: ${reasonOf(elsewhere)}; set cassandra.dataCenter`,
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
      `Cassandra cannot be reached: ${reasonOf(error)} (of ${at})`,
      error,
    )
  return error
}

/** Server messages about a row that can never be stored. */
const rejections = /^(Key (length|may not be empty)|Rejected an oversized mutation|Request is too big)/

/**
 * Translates an error of a read or write: ChangeRejectedError for a row that can never be stored, else ConfabError
 * UNAVAILABLE. Other errors are returned unchanged.
 */
export const toStoreError = (error: unknown): unknown => {
  if (codeOf(error) === responseErrorCodes.invalid && rejections.test((error as Error).message))
    return new ChangeRejectedError((error as Error).message, error)
  // Part of a partition key is too long: the driver throws this while it looks for the node.
  if (error instanceof RangeError) return new ChangeRejectedError(error.message, error)
  // The value does not fit the column's type.
  if (error instanceof TypeError && /^Not a valid/.test(error.message))
    return new ChangeRejectedError(error.message, error)
  if (
    error instanceof errors.ResponseError ||
    error instanceof errors.NoHostAvailableError ||
    error instanceof errors.OperationTimedOutError ||
    error instanceof errors.BusyConnectionError
  )
    return new ConfabError('UNAVAILABLE', 'The views cannot be read. Try again.', {
      detail: `The views' Cassandra: ${reasonOf(error)}.`,
      cause: error,
    })
  return error
}
