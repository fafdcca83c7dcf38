import { FairSemaphore } from '../../base/fair-semaphore.ts'
import { settlesWithin } from '../../base/timeout.ts'
import { ConfabError } from '../../events/index.ts'
import type { LimitName } from '../ports/edge-metrics.ts'

export interface SearchLimits {
  /** Searches of all users that run at the same time. */
  readonly searches: number
  /** Searches of one user that run at the same time. */
  readonly userSearches: number
  /** How long a search waits and runs, ms. */
  readonly searchMs: number
}

/** `retryAfterMs` of a search that took too long. */
const retryAfterMs = 1_000

/**
 * Runs the searches of users in turn and within a time. The cost of a search depends on its words, on the index and on
 * the searches before it, so no bound of the request can be exact.
 */
export class Searches {
  readonly #slots: FairSemaphore
  readonly #ms: number
  readonly #onRefused: (limit: LimitName) => void

  constructor(limits: SearchLimits, onRefused: (limit: LimitName) => void) {
    this.#slots = new FairSemaphore({ total: limits.searches, share: limits.userSearches })
    this.#ms = limits.searchMs
    this.#onRefused = onRefused
  }

  /** Rejects as the search does, and with ConfabError OVERLOADED when it takes too long. */
  async run<T>(user: string, search: () => Promise<T>): Promise<T> {
    let isOver = false
    // The slot stays taken until the search has ended: its store still works on it.
    const running = this.#slots.run(user, () => (isOver ? Promise.reject(tooLong()) : search()))
    if (await settlesWithin(this.#ms, running)) return await running
    isOver = true
    this.#onRefused('search_time')
    throw tooLong()
  }
}

const tooLong = (): ConfabError =>
  new ConfabError('OVERLOADED', 'The search takes too long. Use fewer or longer words, or try again later.', {
    retryAfterMs,
  })
