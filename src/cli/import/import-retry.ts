import { backoffMs } from '../../base/backoff.ts'
import { sleep } from '../../base/sleep.ts'
import { ConfabError, ErrorRegistry, operatorText } from '../../events/index.ts'
import { CliError } from '../command/cli-error.ts'

const backoff = { firstMs: 50, maxMs: 2_000 }

/** Retries with back-off while the log is unreachable or overloaded, and gives up after a timeout. */
export class ImportRetry {
  readonly #timeoutMs: number
  readonly #onWait: (reason: string | undefined) => void
  readonly #gaveUp = new AbortController()
  #failingSince: number | undefined

  /**
   * `timeoutMs`: time without a success after which the import gives up. `onWait` receives the reason of a wait, and
   * undefined after the next success.
   */
  constructor(timeoutMs: number, onWait: (reason: string | undefined) => void) {
    this.#timeoutMs = timeoutMs
    this.#onWait = onWait
  }

  /** Aborts with a CliError when the import gives up. */
  get gaveUp(): AbortSignal {
    return this.#gaveUp.signal
  }

  /** Records a success. */
  succeeded(): void {
    if (this.#failingSince === undefined) return
    this.#failingSince = undefined
    this.#onWait(undefined)
  }

  /** Waits after failure number `attempt`: exponential back-off with full jitter. Ends early when `signal` aborts. */
  async wait(error: unknown, attempt: number, signal: AbortSignal): Promise<void> {
    const reason = ConfabError.is(error) ? `${error.code}: ${operatorText(error)}` : String(error)
    this.#failingSince ??= performance.now()
    this.#onWait(reason)
    if (performance.now() - this.#failingSince > this.#timeoutMs)
      this.#gaveUp.abort(
        new CliError('NO_SERVER', `gave up (${reason}): run the same command again to continue the import`),
      )
    await sleep(backoffMs(attempt + 1, backoff), signal)
  }

  /** Repeats a read until it succeeds. Rejects when `signal` aborts, or with an error that is not retryable. */
  async untilSuccess<T>(signal: AbortSignal, read: () => Promise<T>): Promise<T> {
    for (let attempt = 0; ; attempt++)
      try {
        const result = await read()
        this.succeeded()
        return result
      } catch (error) {
        if (signal.aborted || (ConfabError.is(error) && !ErrorRegistry[error.code].retryable)) throw error
        await this.wait(error, attempt, signal)
        signal.throwIfAborted()
      }
  }
}
