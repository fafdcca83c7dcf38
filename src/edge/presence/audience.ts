import type { Presence } from '../../events/index.ts'
import type { Session } from '../sessions/session.ts'
import type { SessionRegistry } from '../sessions/session-registry.ts'
import type { Contacts } from './contacts.ts'
import type { WatchList } from './watch-list.ts'

/** Attempts to decide which users an asker sees, while their settings change. Then the changing ones are not shown. */
const attempts = 3

/** A user and an asker: whether the asker sees the user has to be decided. */
interface Pair {
  readonly user: string
  readonly asker: string
}

/**
 * Decides which watched users a session sees, when it starts to watch them, and again when a block, a setting or a
 * membership changes that. A user that becomes a contact is seen from the next request `presence` on.
 */
export class PresenceAudience {
  readonly #contacts: Contacts
  readonly #watches: WatchList
  readonly #sessions: SessionRegistry
  readonly #stateOf: (user: string) => Presence
  /** Pairs to decide again, by user and asker. */
  readonly #due = new Map<string, Pair>()
  #isDeciding = false

  constructor(parts: {
    contacts: Contacts
    watches: WatchList
    sessions: SessionRegistry
    stateOf: (user: string) => Presence
  }) {
    this.#contacts = parts.contacts
    this.#watches = parts.watches
    this.#sessions = parts.sessions
    this.#stateOf = parts.stateOf
  }

  /**
   * Resolves with the states of those users that the asker sees. A session watches the users from then on, in place
   * of those before; each is named once. Rejects with ConfabError OVERLOADED when there are too many watched users.
   */
  async look(
    asker: string,
    users: readonly string[],
    session: Session | undefined,
  ): Promise<Map<string, Presence>> {
    // First: a change from now on decides again.
    if (session !== undefined && !session.closed) this.#watches.watch(session, users)
    const shown = new Set<string>()
    let left = users
    for (let attempt = 0; attempt < attempts && left.length > 0; attempt++) {
      const versions = left.map(user => this.#watches.versionOf(user))
      const found = await this.#contacts.shownTo(asker, left)
      left = left.filter((user, index) => {
        const isDecided = this.#watches.versionOf(user) === versions[index]
        if (isDecided && found.has(user)) shown.add(user)
        return !isDecided
      })
    }
    const states = new Map<string, Presence>()
    for (const user of users) {
      const state = shown.has(user) ? this.#stateOf(user) : undefined
      if (state !== undefined) states.set(user, state)
      if (session !== undefined) this.#watches.answered(session, user, state)
    }
    return states
  }

  /** Whether changes of a user's settings and blocks concern a session here. */
  concerns(user: string): boolean {
    return this.#watches.has(user)
  }

  /** A user has blocked another one, who sees nothing of the user from now on. */
  blocked(user: string, asker: string): void {
    this.#watches.changeVersion(user)
    this.#watches.see(user, asker, false)
  }

  unblocked(user: string, asker: string): void {
    if (this.#watches.askersOf(user).includes(asker)) this.#decideSoon([{ user, asker }])
  }

  /** A user has changed the setting. */
  changed(user: string): void {
    this.#decideSoon(this.#watches.askersOf(user).map(asker => ({ user, asker })))
  }

  /** A user is no longer a member of a conversation, which may have been all that the user shared with others. */
  async left(c: string, user: string): Promise<void> {
    const watched = this.#sessions.of(user).flatMap(session => session.watching ?? [])
    const askers = this.#watches.askersOf(user)
    if (watched.length + askers.length === 0) return
    const members = await this.#contacts.membersOf(c)
    if (members === undefined) return
    const isMember = (other: string): boolean => members.roleOf(other) !== undefined
    this.#decideSoon([
      ...watched.filter(isMember).map(other => ({ user: other, asker: user })),
      ...askers.filter(isMember).map(asker => ({ user, asker })),
    ])
  }

  #decideSoon(pairs: readonly Pair[]): void {
    for (const pair of pairs) {
      this.#watches.changeVersion(pair.user)
      this.#due.set(`${pair.user} ${pair.asker}`, pair)
    }
    if (!this.#isDeciding && this.#due.size > 0) void this.#decide()
  }

  /** Decides one pair after another. Never rejects: an asker does not see a user whose state cannot be read. */
  async #decide(): Promise<void> {
    this.#isDeciding = true
    for (const [key, pair] of this.#due) {
      this.#due.delete(key)
      const { user, asker } = pair
      const version = this.#watches.versionOf(user)
      const isSeen = await this.#contacts.shownTo(asker, [user]).then(
        shown => shown.has(user),
        () => false,
      )
      if (this.#watches.versionOf(user) === version) this.#watches.see(user, asker, isSeen)
      else this.#due.set(key, pair)
    }
    this.#isDeciding = false
  }
}
