import { countOf, type OneOrMany, toArray, withItem, withoutItem } from './one-or-many.ts'
import type { Session } from './session.ts'

/** The sessions of this node: those before `hello`, and those after it by user. */
export class SessionRegistry {
  readonly #new = new Set<Session>()
  readonly #byUser = new Map<string, OneOrMany<Session>>()
  #open = 0
  #watcher: (user: string, isHere: boolean) => void = () => {}

  /** Calls the watcher when the first session of a user opens here, and when the last one closes. */
  watch(watcher: (user: string, isHere: boolean) => void): void {
    this.#watcher = watcher
  }

  /** Adds a session whose transport has opened. */
  connected(session: Session): void {
    this.#new.add(session)
  }

  /** Files a session under its user, after `hello`. */
  opened(session: Session): void {
    this.#new.delete(session)
    const before = this.#byUser.get(session.user)
    const after = withItem(before, session)
    this.#byUser.set(session.user, after)
    this.#open += countOf(after) - countOf(before)
    if (before === undefined) this.#watcher(session.user, true)
  }

  /** Removes a session. Returns whether it was the last one of its user on this node. */
  closed(session: Session): boolean {
    if (this.#new.delete(session)) return false
    const before = this.#byUser.get(session.user)
    if (before === undefined) return false
    const rest = withoutItem(before, session)
    this.#open += countOf(rest) - countOf(before)
    if (rest !== undefined) {
      this.#byUser.set(session.user, rest)
      return false
    }
    this.#byUser.delete(session.user)
    this.#watcher(session.user, false)
    return true
  }

  of(user: string): readonly Session[] {
    return toArray(this.#byUser.get(user))
  }

  /** Iterates over the sessions of a user, with event streams that still catch up. */
  *authenticatedAs(user: string): IterableIterator<Session> {
    yield* this.of(user)
    for (const session of this.#new) if (session.user === user) yield session
  }

  has(user: string): boolean {
    return this.#byUser.has(user)
  }

  countOf(user: string): number {
    return countOf(this.#byUser.get(user))
  }

  users(): IterableIterator<string> {
    return this.#byUser.keys()
  }

  get size(): number {
    return this.#new.size + this.#open
  }

  /** Iterates over all sessions. Sessions may be closed during the iteration. */
  *[Symbol.iterator](): IterableIterator<Session> {
    yield* this.#new
    for (const sessions of this.#byUser.values()) yield* toArray(sessions)
  }
}
