/**
 * An error with a code that programs branch on and documentation lists. Each area of the code base extends it once,
 * with its own codes; `Subclass.is(error)` returns whether an error is an instance of that class.
 */
export class CodedError<Code extends string = string> extends Error {
  readonly code: Code

  constructor(code: Code, message: string, cause?: unknown) {
    super(message, cause === undefined ? {} : { cause })
    this.name = new.target.name
    this.code = code
  }

  static is<T extends CodedError>(this: abstract new (...args: never) => T, error: unknown): error is T {
    // biome-ignore lint/complexity/noThisInStatic: a subclass checks for itself
    return error instanceof this
  }
}
