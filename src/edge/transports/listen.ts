/** Something else listens at the address, or it is none to listen at. For who starts the process: docs/errors.md. */
export class CannotListenError extends Error {
  readonly code = 'CANNOT_LISTEN'

  /** `what`: with the address, `[::1]:8080`. */
  constructor(what: string, cause?: unknown) {
    super(
      `cannot listen ${what}: end what listens there (confab doctor), or choose another port`,
      cause === undefined ? {} : { cause },
    )
    this.name = 'CannotListenError'
  }
}
