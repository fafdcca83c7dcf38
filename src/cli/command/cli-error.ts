import { CodedError } from '../../base/coded-error.ts'
/**
 * Error codes of the command line, beside those of the protocol and of NATS. docs/errors.md lists them; a test ties the
 * two.
 */
export const CliProblem = {
  /** A flag, environment variable or configuration key is wrong. Exit code 2. */
  badOption: 'BAD_OPTION',
  /** Another process listens at the address, or the address is not a local one. */
  cannotListen: 'CANNOT_LISTEN',
  /** `certs`: a file that would be written exists. */
  fileExists: 'FILE_EXISTS',
  /** The given paths hold nothing to import. */
  noInput: 'NO_INPUT',
  /** Some lines were not imported; the others were. */
  badInput: 'BAD_INPUT',
  /** No confab server, or no NATS server, at the expected address. */
  noServer: 'NO_SERVER',
  /** The log has no event of the given conversation. */
  noConversation: 'NO_SUCH_CONVERSATION',
  /** No node has the given session. */
  noSession: 'NO_SUCH_SESSION',
  /** NATS, or a backup, has no stream of the given name. */
  noStream: 'NO_SUCH_STREAM',
  /**
   * `doctor` or a `status` command found a problem, `certs show` found a certificate that expires, or `sessions end`
   * could not close all sessions.
   */
  notReady: 'NOT_READY',
  /** A generation of a view is behind the log or behind another generation. */
  notLevel: 'NOT_LEVEL',
  /** Two generations of a view hold different rows. */
  differ: 'GENERATIONS_DIFFER',
  /** No projection worker feeds the view. */
  noWorker: 'NO_PROJECTION_WORKER',
  /** A given dead letter does not exist. */
  noLetter: 'NO_SUCH_LETTER',
  /** The retry of some dead letters failed. */
  lettersLeft: 'DEAD_LETTERS_LEFT',
  /** Another operator carries out an operation on the streams. */
  operationRunning: 'OPERATION_RUNNING',
  /** An operation on the streams ended before its last step. */
  operationUnfinished: 'OPERATION_UNFINISHED',
  /** No operation on the streams is unfinished. */
  noOperation: 'NO_SUCH_OPERATION',
  /** Fewer than half of the regions answer, and an operation needs more. */
  noMajority: 'NO_MAJORITY',
  /** `region move`: the stream holds other conversations too. */
  streamShared: 'STREAM_SHARED',
  /** `region lost resubmit`: some events cannot be sent again. */
  lostLeft: 'LOST_EVENTS_LEFT',
  /** A mirror does not follow its origin. */
  mirrorBehind: 'MIRROR_BEHIND',
  /** An error that no code caught, in a server: a defect. The server stops in order. */
  unhandled: 'UNHANDLED_ERROR',
  /** Interrupted (Ctrl-C) before the end. Exit code 130. */
  interrupted: 'INTERRUPTED',
} as const
export type CliErrorCode = (typeof CliProblem)[keyof typeof CliProblem]

/** Thrown for problems that the operator can solve. The command line shows code and message, without a stack trace. */
export class CliError extends CodedError<CliErrorCode> {}
