import { type SharedBound, Shares } from '../../base/shares.ts'
import { ConfabError, type Presence } from '../../events/index.ts'
import { Wire } from '../delivery/wire.ts'
import { shardCount, shardOf } from '../ports/presence-store.ts'
import { isSlow, push } from '../sessions/outbox.ts'
import type { Session } from '../sessions/session.ts'

interface Watched {
  readonly user: string
  /** The watching sessions, each with the state that it knows. Undefined: the session does not see the user. */
  readonly watchers: Map<Session, Presence | undefined>
}

/**
 * The users whose presence sessions of this node watch; one entry a user, however many sessions watch it. Collects
 * changes until `flush`, which pushes the current state of each user to the sessions that see the user and know another
 * state. A slow session gets the last state of each user once it has room.
 */
export class WatchList {
  readonly #total: number
  readonly #watchers: Shares
  readonly #stateOf: (user: string) => Presence
  readonly #onLimited: () => void
  readonly #users = new Map<string, Watched>()
  readonly #shards = new Array<Set<Watched> | undefined>(shardCount)
  readonly #changed = new Set<Watched>()
  /** Users whose state slow sessions have not got yet. */
  readonly #late = new Map<Session, Set<string>>()
  #pushes = 0

  /**
   * `total`: users that are watched at once, however many sessions watch each. `share`: users that the sessions of one
   * user watch, added up over the sessions. `onLimited` is called for each request beyond either.
   */
  constructor(bound: SharedBound, stateOf: (user: string) => Presence, onLimited: () => void) {
    this.#total = bound.total
    this.#watchers = new Shares({ total: Number.POSITIVE_INFINITY, share: bound.share })
    this.#stateOf = stateOf
    this.#onLimited = onLimited
  }

  /** Number of users that are watched. */
  get size(): number {
    return this.#users.size
  }

  /**
   * Replaces the users that a session watches; each is named once. The session does not see new ones until `answered`
   * or `see`. Throws ConfabError OVERLOADED, and then changes nothing.
   */
  watch(session: Session, users: readonly string[]): void {
    const added = users.filter(user => !this.#users.has(user)).length
    if (added > 0 && this.#users.size + added > this.#total)
      this.#refuse('This node watches as many users as it can. Try again later.')
    this.#takeShare(session.user, session.watching?.length ?? 0, users.length)
    const before = new Set(session.watching)
    for (const user of users) if (!before.delete(user)) this.#add(session, user)
    for (const user of before) this.#remove(session, user)
    session.watching = users.length === 0 ? undefined : users
  }

  unwatch(session: Session): void {
    for (const user of session.watching ?? []) this.#remove(session, user)
    this.#watchers.release(session.user, session.watching?.length ?? 0)
    session.watching = undefined
    this.#late.delete(session)
  }

  has(user: string): boolean {
    return this.#users.has(user)
  }

  /** Returns the users whose sessions watch a user. */
  askersOf(user: string): string[] {
    const watchers = this.#users.get(user)?.watchers.keys() ?? []
    return [...new Set(Array.from(watchers, session => session.user))]
  }

  /** Whether one of the sessions watches a user. */
  isWatchedBy(user: string, sessions: readonly Session[]): boolean {
    const watchers = this.#users.get(user)?.watchers
    return watchers !== undefined && sessions.some(session => watchers.has(session))
  }

  /** Returns the state of a user that a session knows. Undefined: the session does not see the user. */
  knownTo(session: Session, user: string): Presence | undefined {
    return this.#users.get(user)?.watchers.get(session)
  }

  /** An answer tells a session the state of a user. Undefined: the session does not see the user. */
  answered(session: Session, user: string, state: Presence | undefined): void {
    const watchers = this.#users.get(user)?.watchers
    if (watchers?.has(session) === true) watchers.set(session, state)
  }

  /** Sets whether the sessions of one asker see a user, and pushes what changes for them by it. */
  see(user: string, sessions: readonly Session[], isSeen: boolean): void {
    const watchers = this.#users.get(user)?.watchers
    if (watchers === undefined) return
    const state = isSeen ? this.#stateOf(user) : undefined
    for (const session of sessions) if (watchers.has(session)) this.#replace(watchers, session, user, state)
  }

  /** No session sees a user from now on. */
  hide(user: string): void {
    const watchers = this.#users.get(user)?.watchers
    for (const session of watchers?.keys() ?? []) this.#replace(watchers!, session, user, undefined)
  }

  /** The state of a user may have changed. */
  changed(user: string): void {
    const watched = this.#users.get(user)
    if (watched !== undefined) this.#changed.add(watched)
  }

  /** The state of any user of a shard may have changed. */
  changedIn(shard: number): void {
    for (const watched of this.#shards[shard] ?? []) this.#changed.add(watched)
  }

  /** Number of pushes since the last call. */
  takePushes(): number {
    const pushes = this.#pushes
    this.#pushes = 0
    return pushes
  }

  /**
   * Pushes the changes, until about `maxPushes` are made: it does not stop within a user. Returns whether all are
   * pushed.
   */
  flush(maxPushes = Number.POSITIVE_INFINITY): boolean {
    const until = this.#pushes + maxPushes
    for (const watched of this.#changed) {
      if (this.#pushes >= until) return false
      this.#changed.delete(watched)
      this.#pushToWatchers(watched)
    }
    for (const session of this.#late.keys()) this.#pushLate(session)
    return true
  }

  /** Replaces the users that a session counts against the share of its user. */
  #takeShare(user: string, before: number, after: number): void {
    this.#watchers.release(user, before)
    if (this.#watchers.take(user, after) === undefined) return
    this.#watchers.take(user, before)
    this.#refuse('The sessions of this user watch as many users as they may. Watch fewer.')
  }

  #refuse(message: string): never {
    this.#onLimited()
    throw new ConfabError('OVERLOADED', message)
  }

  #add(session: Session, user: string): void {
    let watched = this.#users.get(user)
    if (watched === undefined) {
      watched = { user, watchers: new Map() }
      this.#users.set(user, watched)
      const shard = shardOf(user)
      const neighbours = this.#shards[shard]
      if (neighbours === undefined) this.#shards[shard] = new Set([watched])
      else neighbours.add(watched)
    }
    watched.watchers.set(session, undefined)
  }

  #remove(session: Session, user: string): void {
    this.#late.get(session)?.delete(user)
    const watched = this.#users.get(user)
    if (watched === undefined) return
    watched.watchers.delete(session)
    if (watched.watchers.size > 0) return
    this.#users.delete(user)
    this.#changed.delete(watched)
    const shard = shardOf(user)
    const neighbours = this.#shards[shard]
    neighbours?.delete(watched)
    if (neighbours?.size === 0) this.#shards[shard] = undefined
  }

  /** Replaces the state that a session knows, and pushes it if it looks different. */
  #replace(watchers: Watched['watchers'], session: Session, user: string, state: Presence | undefined): void {
    const known = watchers.get(session)
    watchers.set(session, state)
    if ((known ?? 'offline') !== (state ?? 'offline'))
      this.#pushSoon(session, user, presenceWire(user, state ?? 'offline'))
  }

  #pushToWatchers(watched: Watched): void {
    const { user, watchers } = watched
    const state = this.#stateOf(user)
    let wire: Wire | undefined
    for (const [session, known] of watchers) {
      if (known === undefined || known === state) continue
      watchers.set(session, state)
      wire ??= presenceWire(user, state)
      this.#pushSoon(session, user, wire)
    }
  }

  #pushSoon(session: Session, user: string, wire: Wire): void {
    if (session.closed) return
    if (isSlow(session)) this.#postpone(session, user)
    else this.#push(session, wire)
  }

  #postpone(session: Session, user: string): void {
    const late = this.#late.get(session)
    if (late === undefined) this.#late.set(session, new Set([user]))
    else late.add(user)
  }

  #pushLate(session: Session): void {
    if (isSlow(session)) return
    for (const user of this.#late.get(session) ?? [])
      this.#push(session, presenceWire(user, this.#users.get(user)?.watchers.get(session) ?? 'offline'))
    this.#late.delete(session)
  }

  #push(session: Session, wire: Wire): void {
    push(session, wire.frame(session.encoding))
    this.#pushes++
  }
}

const presenceWire = (user: string, state: Presence): Wire =>
  Wire.of({ t: 'signal', type: 'presence', user, state })
