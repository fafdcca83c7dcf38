import type { Logger } from '../../base/logger.ts'
import type { StateReader } from '../../commands/index.ts'
import type { Views } from '../../projections/index.ts'
import type { LastSeenStore } from '../ports/last-seen-store.ts'

/** Shared conversations that are checked before two users count as strangers. */
const maxShared = 20
/** Users whose time is written in one batch. */
const batch = 1_000

/** Decides which users may see when a user was last online: by that user's setting and blocks. */
export class Contacts {
  readonly #states: StateReader
  readonly #views: Views

  constructor(states: StateReader, views: Views) {
    this.#states = states
    this.#views = views
  }

  /** The users who allow the asker to see when they were last online. Rejects with ConfabError. */
  async open(asker: string, users: readonly string[]): Promise<string[]> {
    let own: Promise<ReadonlySet<string>> | undefined
    const answers = await Promise.all(
      users.map(async user => {
        if (user === asker) return true
        const { lastSeen, hasBlocked } = await this.#states.user(user)
        if (lastSeen === 'nobody' || hasBlocked(asker)) return false
        if (lastSeen === 'everybody') return true
        own ??= this.#conversationsOf(asker)
        return this.#isContact(user, asker, await own)
      }),
    )
    return users.filter((_, index) => answers[index])
  }

  /**
   * Whether both are members of a group or direct conversation that `user` owns or has read. Other conversations do not
   * count: any user can join a channel, or add others to a group. The views only suggest conversations; the state of
   * each conversation decides about its members.
   */
  async #isContact(user: string, asker: string, own: ReadonlySet<string>): Promise<boolean> {
    const shared = [...(await this.#conversationsOf(user))].filter(c => own.has(c)).slice(0, maxShared)
    for (const c of shared) {
      const view = await this.#states.conversation(c)
      if (view === undefined || view.kind === 'channel') continue
      if (view.roleOf(asker) === undefined || view.roleOf(user) === undefined) continue
      if (view.roleOf(user) === 'owner' || (await this.#states.user(user)).readMark(c) > 0) return true
    }
    return false
  }

  async #conversationsOf(user: string): Promise<ReadonlySet<string>> {
    return new Set((await this.#views.roster.conversationsOf(user)).conversations)
  }
}

/**
 * When users were last online: recorded when they disconnect, written in batches, and returned to users who may
 * see it. Bounded: beyond `lastSeenWaiting` users that wait to be written, the oldest are dropped.
 */
export class LastSeen {
  readonly #store: LastSeenStore
  readonly #contacts: Contacts
  readonly #logger: Logger
  readonly #maxWaiting: number
  /** Times that are not written yet, ms since 1970, by user; the oldest first. */
  readonly #waiting = new Map<string, number>()
  #isWriting = false

  constructor(parts: { store: LastSeenStore; contacts: Contacts; logger: Logger }, maxWaiting: number) {
    this.#store = parts.store
    this.#contacts = parts.contacts
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

  /**
   * ISO times by user, of the users whose time is known and who allow the asker to see it. Empty while the store is
   * unreachable. Rejects with ConfabError.
   */
  async of(asker: string, users: readonly string[]): Promise<Record<string, string>> {
    const open = await this.#contacts.open(asker, users)
    if (open.length === 0) return {}
    const seen = await this.#store.of(open).catch(() => new Map<string, number>())
    return Object.fromEntries(Array.from(seen, ([user, at]) => [user, new Date(at).toISOString()]))
  }
}
