import { AuthorizationError, PermissionViolationError } from '@nats-io/transport-node'
import { CodedError } from '../../../base/coded-error.ts'

/** Problems with NATS or the data folder at start. docs/errors.md lists them for operators; clients never see them. */
export const NatsProblem = {
  /** No nats-server was found, and none could be fetched. */
  missing: 'NATS_SERVER_MISSING',
  /** The nats-server that was named, found or connected to is older than the supported versions. */
  tooOld: 'NATS_SERVER_TOO_OLD',
  /** The nats-server that was named or found is newer than the supported versions. */
  unsupported: 'NATS_SERVER_UNSUPPORTED',
  /** The server did not come up, or was not reached. */
  failed: 'NATS_SERVER_FAILED',
  /** Another process has locked the data folder, and its server cannot be reached. */
  busy: 'NATS_DATA_BUSY',
  /** The data folder cannot be written. */
  unwritable: 'NATS_DATA_UNWRITABLE',
  /** The disk of the data folder is full. */
  full: 'NATS_DATA_FULL',
  /** The streams are missing, or differ from their definitions. */
  streams: 'NATS_STREAMS',
  /** An update of a stream would remove stored messages, or leave them where no reader looks for them. */
  wouldLoseData: 'WOULD_LOSE_DATA',
  /** The server refuses the credentials, or its user may not do what confab needs. */
  rights: 'NATS_RIGHTS',
} as const
export type NatsProblem = (typeof NatsProblem)[keyof typeof NatsProblem]

/** Thrown when confab cannot use NATS. The message is for the operator, and says what to do. */
export class NatsError extends CodedError<NatsProblem> {}

/** Whether a server refused the credentials. */
export const isAuthorizationError = (error: unknown): boolean =>
  error instanceof AuthorizationError || (error as Error | undefined)?.cause instanceof AuthorizationError

/** Returns what a server refused, when that is why a request failed. */
export const violationIn = (error: unknown): PermissionViolationError | undefined => {
  if (error instanceof PermissionViolationError) return error
  const cause = error instanceof Error ? error.cause : undefined
  return cause === undefined ? undefined : violationIn(cause)
}

/** Returns the error for something that a server refused for want of rights. */
export const rightsError = (
  { operation, subject }: Pick<PermissionViolationError, 'operation' | 'subject'>,
  cause?: unknown,
): NatsError => {
  const [verb, advice] =
    operation === 'subscription'
      ? ['subscribe', 'set nats.inboxPrefix to the prefix of this user, if it is an inbox']
      : /^\$JS\.API\.STREAM\.(CREATE|UPDATE)\./.test(subject)
        ? ['publish', 'run "confab streams apply" as a user who may']
        : ['publish', 'use a user with this right']
  return new NatsError(
    NatsProblem.rights,
    `the NATS user of this process may not ${verb} to ${subject}: ${advice} (see "NATS users" in docs/operations.md)`,
    cause,
  )
}

/** Returns an error as a NatsError about missing rights, when they are why a request failed; else unchanged. */
export const asRightsError = (error: unknown): unknown => {
  const refused = violationIn(error)
  return refused === undefined ? error : rightsError(refused, error)
}

/** Returns an error of the file system as a NatsError about the data folder; any other error unchanged. */
export const asDataError = (folder: string, error: unknown): unknown => {
  const code = (error as NodeJS.ErrnoException | undefined)?.code
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new NatsError(NatsProblem.full, `no space is left in the data folder ${folder}`, error)
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS' || code === 'ENOTDIR' || code === 'EEXIST')
    return new NatsError(
      NatsProblem.unwritable,
      `the data folder ${folder} cannot be written (${code})`,
      error,
    )
  return error
}
