import { sleep } from './sleep.ts'

/** How long to wait between retries. The bound of the wait doubles with each failure. */
export interface Backoff {
  /** Bound of the wait after the first failure, ms. */
  readonly firstMs: number
  /** Largest bound of a wait, ms. */
  readonly maxMs: number
  /**
   * Random part of a wait, 0 to 1. 1, the default, is full jitter: from 0 to the bound. 0 waits for the whole bound.
   */
  readonly jitter?: number
}

/**
 * Returns how long to wait after `failures` failures in a row (1 or more), ms. Jitter keeps clients from retrying at
 * the same time.
 */
export const backoffMs = (failures: number, { firstMs, maxMs, jitter = 1 }: Backoff): number =>
  Math.min(maxMs, firstMs * 2 ** Math.min(failures - 1, 30)) * (1 - jitter * Math.random())

/**
 * Returns a time with up to `part` of it added at random, ms. Clients that are refused together do not retry together
 * then.
 */
export const jittered = (ms: number, part = 1 / 4): number => Math.ceil(ms * (1 + part * Math.random()))

export interface RetryOptions extends Backoff {
  /** Attempts in all, the first one included. Default: no limit. */
  readonly attempts?: number
  /** Ends the wait between attempts. The last error is thrown then. */
  readonly signal?: AbortSignal | undefined
  /** Whether an attempt that failed with this error is repeated. Default: always. */
  readonly isRetryable?: (error: unknown) => boolean
  /** Called before each wait, with the number of failures in a row. */
  readonly onFailure?: (error: unknown, failures: number) => void
}

/** Runs an operation until it succeeds. Rejects with its last error when it may not be repeated any more. */
export const retry = async <T>(operation: () => Promise<T>, options: RetryOptions): Promise<T> => {
  const { attempts = Number.POSITIVE_INFINITY, signal, isRetryable, onFailure } = options
  for (let failures = 1; ; failures++) {
    try {
      return await operation()
    } catch (error) {
      if (failures >= attempts || signal?.aborted || isRetryable?.(error) === false) throw error
      onFailure?.(error, failures)
      await sleep(backoffMs(failures, options), signal)
      if (signal?.aborted) throw error
    }
  }
}
