import type { Logger } from '../../base/logger.ts'
import type { LastSeenStore } from '../ports/last-seen-store.ts'

/** Users whose time is written in one batch. */
const batch = 1_000

/**
 * When users were last online: recorded when they disconnect, written in batches, and returned. Bounded: beyond
 * `lastSeenWaiting` users that wait to be written, the oldest are dropped.
 */
export class LastSeen {
  readonly #store: LastSeenStore
  readonly #logger: Logger
  readonly #maxWaiting: number
  /** Times that are not written yet, ms since 1970, by user; the oldest first. */
  readonly #waiting = new Map<string, number>()
  #isWriting = false

  constructor(parts: { store: LastSeenStore; logger: Logger }, maxWaiting: number) {
    this.#store = parts.store
    this.#logger = parts.logger
    this.#maxWaiting = maxWaiting
  }

  /** Records that a user was online until `at`, ms since 1970. */
  record(user: string, at: number): void {
    this.#waiting.delete(user)
    this.#waiting.set(user, at)
    for (const oldest of this.#waiting.keys()) {
      if (this.#waiting.size <= this.#maxWaiting) return
      this.#waiting.delete(oldest)
    }
  }

  /** Writes one batch, unless a write is in progress. Never rejects: what is not stored stays for the next call. */
  async write(): Promise<void> {
    if (this.#isWriting || this.#waiting.size === 0) return
    this.#isWriting = true
    const some = new Map([...this.#waiting].slice(0, batch))
    try {
      await this.#store.note(some)
      for (const [user, at] of some) if (this.#waiting.get(user) === at) this.#waiting.delete(user)
    } catch (error) {
      this.#logger.debug({ err: error }, 'last-seen times not stored yet')
    } finally {
      this.#isWriting = false
    }
  }

  /** ISO times by user, of the users whose time is known. Empty while the store is unreachable. */
  async of(users: readonly string[]): Promise<Record<string, string>> {
    if (users.length === 0) return {}
    const seen = await this.#store.of(users).catch(() => new Map<string, number>())
    return Object.fromEntries(Array.from(seen, ([user, at]) => [user, new Date(at).toISOString()]))
  }
}
