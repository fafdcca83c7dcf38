import type { Logger } from '../../base/logger.ts'
import type { LastSeenStore } from '../ports/last-seen-store.ts'
import type { Contacts } from './contacts.ts'

/** Users whose time is written in one go. */
const most = 1_000

/**
 * When users were last here: noted when they go, written together, told to those whom each user lets know. Bounded: of those that wait to be written beyond `waiting` the
 * oldest are not written.
 */
export class LastSeen {
  readonly #store: LastSeenStore
  readonly #contacts: Contacts
  readonly #logger: Logger
  readonly #waiting: number
  /** The oldest first. */
  readonly #gone = new Map<string, number>()
  #isWriting = false

  constructor(parts: { store: LastSeenStore; contacts: Contacts; logger: Logger }, waiting: number) {
    this.#store = parts.store
    this.#contacts = parts.contacts
    this.#logger = parts.logger
    this.#waiting = waiting
  }

  /** A user was here until then, ms since 1970. */
  went(user: string, at: number): void {
    this.#gone.delete(user)
    this.#gone.set(user, at)
    for (const oldest of this.#gone.keys()) {
      if (this.#gone.size <= this.#waiting) return
      this.#gone.delete(oldest)
    }
  }

  /** Writes some of what waits, unless that is being done. Never rejects: what is not stored waits on. */
  async write(): Promise<void> {
    if (this.#isWriting || this.#gone.size === 0) return
    this.#isWriting = true
    const some = new Map([...this.#gone].slice(0, most))
    try {
      await this.#store.note(some)
      for (const [user, at] of some) if (this.#gone.get(user) === at) this.#gone.delete(user)
    } catch (error) {
      this.#logger.debug({ err: error }, 'when users were last here is not stored yet')
    } finally {
      this.#isWriting = false
    }
  }

  /** User to ISO time, of those who are known and let the asker know; none at all while the store cannot be reached. Rejects with ConfabError. */
  async tell(asker: string, users: readonly string[]): Promise<Record<string, string>> {
    const open = await this.#contacts.open(asker, users)
    if (open.length === 0) return {}
    const seen = await this.#store.of(open).catch(() => new Map<string, number>())
    return Object.fromEntries(Array.from(seen, ([user, at]) => [user, new Date(at).toISOString()]))
  }
}
