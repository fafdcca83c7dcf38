import { backoffMs } from '../../base/backoff.ts'
import { sleep } from '../../base/sleep.ts'
import type { InboxQueries } from '../../projections/index.ts'

export interface SeenWaitLimits {
  /** How long a request waits, ms. */
  readonly seenWaitMs: number
  /** Requests of all users that wait at the same time. */
  readonly seenWaits: number
  /** Requests of one user that wait at the same time. */
  readonly userSeenWaits: number
}

/** The pauses between the queries of a wait: about a dozen in 2 s. */
const queryBackoff = { firstMs: 2, maxMs: 250, jitter: 0 }

/**
 * Waits until the inbox of a user has what a client has seen elsewhere. The waits of a user and of the node are
 * bounded: a client may name conversations that the inbox will never have.
 */
export class SeenWaits {
  readonly #inbox: Pick<InboxQueries, 'heads'>
  readonly #limits: SeenWaitLimits
  readonly #byUser = new Map<string, number>()
  #count = 0

  constructor(inbox: Pick<InboxQueries, 'heads'>, limits: SeenWaitLimits) {
    this.#inbox = inbox
    this.#limits = limits
  }

  /**
   * Resolves with whether the inbox has all conversations up to these sequence numbers: false after `seenWaitMs`, and
   * at once when too many requests wait. It waits for conversations of other users like for a lagging view, so that the
   * answer reveals nothing about them.
   */
  async reached(user: string, seen: Readonly<Record<string, number>>): Promise<boolean> {
    const missing = new Map(Object.entries(seen))
    if (await this.#hasReached(user, missing)) return true
    const ofUser = this.#byUser.get(user) ?? 0
    if (this.#count >= this.#limits.seenWaits || ofUser >= this.#limits.userSeenWaits) return false
    this.#count++
    this.#byUser.set(user, ofUser + 1)
    try {
      return await this.#reaches(user, missing)
    } finally {
      this.#count--
      const left = (this.#byUser.get(user) ?? 1) - 1
      if (left === 0) this.#byUser.delete(user)
      else this.#byUser.set(user, left)
    }
  }

  async #reaches(user: string, missing: Map<string, number>): Promise<boolean> {
    const until = performance.now() + this.#limits.seenWaitMs
    for (let queries = 1; ; queries++) {
      const wait = backoffMs(queries, queryBackoff)
      if (performance.now() + wait > until) return false
      await sleep(wait)
      if (await this.#hasReached(user, missing)) return true
    }
  }

  /** Removes from `missing` the conversations that the inbox has up to their sequence numbers, by one query. */
  async #hasReached(user: string, missing: Map<string, number>): Promise<boolean> {
    if (missing.size === 0) return true
    for (const [c, head] of await this.#inbox.heads(user, [...missing.keys()]))
      if (head >= (missing.get(c) ?? 0)) missing.delete(c)
    return missing.size === 0
  }
}
