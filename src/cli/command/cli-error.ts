/** What goes wrong on the command line, beside the codes of the protocol and of NATS. docs/errors.md lists these; a test ties the two. */
export const CliProblem = {
  /** A flag, variable or key of the configuration is wrong. Exit code 2. */
  badOption: 'BAD_OPTION',
  /** Something else listens at the address, or it is none to listen at. */
  cannotListen: 'CANNOT_LISTEN',
  /** There is nothing to import in what was named. */
  noInput: 'NO_INPUT',
  /** Some lines were not imported; all others were. */
  badInput: 'BAD_INPUT',
  /** No confab, or no NATS, where one was expected. */
  noServer: 'NO_SERVER',
  /** The log has no event of the conversation that was named. */
  noConversation: 'NO_SUCH_CONVERSATION',
  /** `doctor` or `streams status` found something amiss. */
  notReady: 'NOT_READY',
  /** A generation of a view is behind the log, or another one. */
  notLevel: 'NOT_LEVEL',
  /** Two generations of a view hold other rows. */
  differ: 'GENERATIONS_DIFFER',
  /** Nobody builds the view. */
  noWorker: 'NO_PROJECTION_WORKER',
  /** A dead letter that was named is not there. */
  noLetter: 'NO_SUCH_LETTER',
  /** Some dead letters could not be taken. */
  lettersLeft: 'DEAD_LETTERS_LEFT',
  /** An error that no code caught, in a server: a defect. The server stops in order. */
  unhandled: 'UNHANDLED_ERROR',
  /** Ctrl-C before the end. Exit code 130. */
  interrupted: 'INTERRUPTED',
} as const
export type CliErrorCode = (typeof CliProblem)[keyof typeof CliProblem]

/** What the user of the command line can do something about: shown as code and message, without a stack. */
export class CliError extends Error {
  readonly code: CliErrorCode

  static is = (error: unknown): error is CliError => error instanceof CliError

  constructor(code: CliErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'CliError'
    this.code = code
  }
}
