import type { Logger } from '../../base/logger.ts'
import { TurnBudget } from '../../base/turn-budget.ts'
import type { Presence } from '../../events/index.ts'
import type { Session } from '../sessions/session.ts'
import type { SessionRegistry } from '../sessions/session-registry.ts'
import type { Contacts } from './contacts.ts'
import type { WatchList } from './watch-list.ts'

/** Users that are decided at once for one asker. */
const batch = 50
/** Time in a turn of the event loop that decisions begin in, ms. */
const turnMs = 2

/** A decision in progress about the users that an asker sees. */
interface Decision {
  /** Users that have changed since it began: its result about them does not hold. */
  readonly outdated: Set<string>
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
  readonly #logger: Logger
  readonly #turns = new TurnBudget(turnMs)
  /** Decisions in progress by asker. */
  readonly #decisions = new Map<string, Set<Decision>>()
  /** Users to decide again, by asker. An asker stays until its users are decided. */
  readonly #due = new Map<string, Set<string>>()
  /** Users that left a conversation whose members are being read, by conversation. */
  readonly #leaving = new Map<string, { readonly users: Set<string>; reads: number }>()

  constructor(parts: {
    contacts: Contacts
    watches: WatchList
    sessions: SessionRegistry
    stateOf: (user: string) => Presence
    logger: Logger
  }) {
    this.#contacts = parts.contacts
    this.#watches = parts.watches
    this.#sessions = parts.sessions
    this.#stateOf = parts.stateOf
    this.#logger = parts.logger
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
    const { found: shown, outdated } = await this.#decided(asker, () => this.#contacts.shownTo(asker, users))
    const states = new Map<string, Presence>()
    for (const user of users) {
      let state = shown.has(user) ? this.#stateOf(user) : undefined
      if (session !== undefined && outdated.has(user)) {
        // A newer decision has been made, or will be: the session receives what it changes as a push.
        state = this.#watches.knownTo(session, user)
      } else if (session !== undefined) this.#watches.answered(session, user, state)
      if (state !== undefined) states.set(user, state)
    }
    return states
  }

  /** Whether changes of a user's settings and blocks concern a session here. */
  concerns(user: string): boolean {
    return this.#watches.has(user)
  }

  /** A user has blocked another one, who sees nothing of the user from now on. */
  blocked(user: string, asker: string): void {
    this.#outdate(user, asker)
    this.#watches.see(user, this.#sessions.of(asker), false)
  }

  /** A user has lifted the block of another one. */
  unblocked(user: string, asker: string): void {
    if (this.#watches.isWatchedBy(user, this.#sessions.of(asker))) this.#decideAgain(user, asker)
  }

  /** A user has changed which users see the user. `isHidden`: no user does from now on. */
  changed(user: string, isHidden: boolean): void {
    if (!isHidden) {
      for (const asker of this.#watches.askersOf(user)) this.#decideAgain(user, asker)
      return
    }
    for (const asker of this.#decisions.keys()) this.#outdate(user, asker)
    this.#watches.hide(user)
  }

  /** A user is no longer a member of a conversation, which may have been all that the user shared with others. */
  async left(c: string, user: string): Promise<void> {
    const watched = this.#sessions.of(user).flatMap(session => session.watching ?? [])
    const askers = this.#watches.askersOf(user)
    if (watched.length + askers.length === 0) return
    // The state that is read may be newer than this event: users that leave meanwhile were members, too.
    const leaving = this.#leaving.get(c) ?? { users: new Set(), reads: 0 }
    this.#leaving.set(c, leaving)
    leaving.users.add(user)
    leaving.reads++
    try {
      const members = await this.#contacts.membersOf(c)
      if (members === undefined) return
      const wasMember = (other: string): boolean =>
        members.roleOf(other) !== undefined || leaving.users.has(other)
      for (const other of watched) if (wasMember(other)) this.#decideAgain(other, user)
      for (const asker of askers) if (wasMember(asker)) this.#decideAgain(user, asker)
    } finally {
      leaving.reads--
      if (leaving.reads === 0) this.#leaving.delete(c)
    }
  }

  /** Runs a decision. Resolves with what it found, and with the users that have changed since it began. */
  async #decided<T>(
    asker: string,
    decide: () => Promise<T>,
  ): Promise<{ found: T; outdated: ReadonlySet<string> }> {
    const decision: Decision = { outdated: new Set() }
    const all = this.#decisions.get(asker) ?? new Set()
    this.#decisions.set(asker, all.add(decision))
    try {
      return { found: await decide(), outdated: decision.outdated }
    } finally {
      all.delete(decision)
      if (all.size === 0) this.#decisions.delete(asker)
    }
  }

  #outdate(user: string, asker: string): void {
    for (const { outdated } of this.#decisions.get(asker) ?? []) outdated.add(user)
  }

  #decideAgain(user: string, asker: string): void {
    this.#outdate(user, asker)
    const due = this.#due.get(asker)
    if (due !== undefined) {
      due.add(user)
      return
    }
    const added = new Set([user])
    this.#due.set(asker, added)
    void this.#decideDue(asker, added)
  }

  /**
   * Decides the users that are due for an asker. Askers do not wait for each other. Never rejects: a user whose state
   * cannot be read is not seen.
   */
  async #decideDue(asker: string, due: Set<string>): Promise<void> {
    try {
      while (due.size > 0) await this.#turns.run(() => this.#decideBatch(asker, due))
    } catch (error) {
      this.#logger.error({ err: error, user: asker }, 'which users a user sees was not decided')
    } finally {
      this.#due.delete(asker)
    }
  }

  async #decideBatch(asker: string, due: Set<string>): Promise<void> {
    const users = [...due].slice(0, batch)
    for (const user of users) due.delete(user)
    const { found, outdated } = await this.#decided(asker, () => this.#contacts.readableTo(asker, users))
    const sessions = this.#sessions.of(asker)
    for (const user of users) if (!outdated.has(user)) this.#watches.see(user, sessions, found.has(user))
  }
}
