import { countOf, type OneOrMany, toArray, withItem, withoutItem } from './one-or-many.ts'
import type { Session } from './session.ts'

/** The sockets of this node: those that have not said hello, and those that have, by user. */
export class SessionRegistry {
  readonly #new = new Set<Session>()
  readonly #byUser = new Map<string, OneOrMany<Session>>()
  #watcher: (user: string, isHere: boolean) => void = () => {}

  /** Calls the watcher when the first session of a user opens here, and when the last one closes. */
  watch(watcher: (user: string, isHere: boolean) => void): void {
    this.#watcher = watcher
  }

  connected(session: Session): void {
    this.#new.add(session)
  }

  /** After `hello`. */
  opened(session: Session): void {
    this.#new.delete(session)
    const before = this.#byUser.get(session.user)
    this.#byUser.set(session.user, withItem(before, session))
    if (before === undefined) this.#watcher(session.user, true)
  }

  /** Whether it was the last of its user here. */
  closed(session: Session): boolean {
    if (this.#new.delete(session)) return false
    const before = this.#byUser.get(session.user)
    if (before === undefined) return false
    const rest = withoutItem(before, session)
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
    let sockets = this.#new.size
    for (const sessions of this.#byUser.values()) sockets += countOf(sessions)
    return sockets
  }

  /** All of them. Ending one while going through is fine. */
  *[Symbol.iterator](): IterableIterator<Session> {
    yield* this.#new
    for (const sessions of this.#byUser.values()) yield* toArray(sessions)
  }
}
