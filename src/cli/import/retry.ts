import { setTimeout as sleep } from 'node:timers/promises'
import { ConfabError, ErrorRegistry } from '../../events/index.ts'
import { CliError } from '../command/cli-error.ts'

const backOffMs = { first: 50, most: 2_000 }

/** How long a log that is out of reach, or overloaded, is waited for. */
export class Patience {
  readonly #ms: number
  readonly #onTrouble: (trouble: string | undefined) => void
  readonly #lost = new AbortController()
  #since: number | undefined

  /** `ms`: how long nothing may go well; `onTrouble` hears what is waited for, undefined when it is over. */
  constructor(ms: number, onTrouble: (trouble: string | undefined) => void) {
    this.#ms = ms
    this.#onTrouble = onTrouble
  }

  /** Aborts when patience is lost, with a CliError. */
  get lost(): AbortSignal {
    return this.#lost.signal
  }

  well(): void {
    if (this.#since === undefined) return
    this.#since = undefined
    this.#onTrouble(undefined)
  }

  /** Waits after a failure, longer the more tries there were: with full jitter, 2 s at most. Ends early when `signal` aborts. */
  async wait(error: unknown, tries: number, signal: AbortSignal): Promise<void> {
    const trouble = ConfabError.is(error) ? `${error.code}: ${error.message}` : String(error)
    this.#since ??= performance.now()
    this.#onTrouble(trouble)
    if (performance.now() - this.#since > this.#ms)
      this.#lost.abort(
        new CliError('NO_SERVER', `gave up (${trouble}); the same command again goes on where this one was`),
      )
    const most = Math.min(backOffMs.most, backOffMs.first * 2 ** Math.min(tries, 10))
    await sleep(Math.random() * most, undefined, { signal }).catch(() => {})
  }

  /** Does what only reads until it succeeds. Rejects when `signal` aborts before that, or with an error that trying again cannot mend. */
  async retry<T>(signal: AbortSignal, read: () => Promise<T>): Promise<T> {
    for (let tries = 0; ; tries++)
      try {
        const result = await read()
        this.well()
        return result
      } catch (error) {
        if (signal.aborted || (ConfabError.is(error) && !ErrorRegistry[error.code].retryable)) throw error
        await this.wait(error, tries, signal)
        signal.throwIfAborted()
      }
  }
}
