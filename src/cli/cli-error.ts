/** Codes of what goes wrong on the command line, beside those of the protocol. */
export type CliErrorCode =
  | 'BAD_OPTION'
  | 'NO_INPUT'
  | 'BAD_INPUT'
  | 'NO_SERVER'
  | 'NOT_READY'
  | 'INTERRUPTED'
  | 'FAILED'

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
