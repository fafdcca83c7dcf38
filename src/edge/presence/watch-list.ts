import { type SharedBound, Shares } from '../../base/shares.ts'
import { ConfabError, type Presence } from '../../events/index.ts'
import { Wire } from '../delivery/wire.ts'
import { shardCount, shardOf } from '../ports/presence-store.ts'
import { isSlow, push } from '../sessions/outbox.ts'
import type { Session } from '../sessions/session.ts'

interface Watched {
  readonly user: string
  readonly watchers: Set<Session>
  /** The state in the last push. */
  sent: Presence
}

/**
 * The users whose presence sessions of this node watch; one entry a user, however many sessions watch it. Collects
 * changes until `flush`, which pushes the current state of each user that differs from the last push. A slow session
 * gets the last state of each user once it has room.
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
   * Replaces the users that a session watches; each is named once. Throws ConfabError OVERLOADED, and then changes
   * nothing.
   */
  watch(session: Session, users: readonly string[]): void {
    const added = users.filter(user => !this.#users.has(user)).length
    if (added > 0 && this.#users.size + added > this.#total)
      this.#refuse('This node watches as many users as it can. Try again later.')
    this.#takeShare(session.user, session.watching?.length ?? 0, users.length)
    const before = new Set(session.watching)
    for (const user of users) {
      // The answer has the current state: sessions that watch the user already have to get it, too.
      const watched = this.#users.get(user)
      if (watched !== undefined) this.#pushToWatchers(watched)
      if (!before.delete(user)) this.#add(session, user)
    }
    for (const user of before) this.#remove(session, user)
    session.watching = users.length === 0 ? undefined : users
  }

  unwatch(session: Session): void {
    for (const user of session.watching ?? []) this.#remove(session, user)
    this.#watchers.release(session.user, session.watching?.length ?? 0)
    session.watching = undefined
    this.#late.delete(session)
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
      watched = { user, watchers: new Set(), sent: this.#stateOf(user) }
      this.#users.set(user, watched)
      const shard = shardOf(user)
      const neighbours = this.#shards[shard]
      if (neighbours === undefined) this.#shards[shard] = new Set([watched])
      else neighbours.add(watched)
    }
    watched.watchers.add(session)
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

  #pushToWatchers(watched: Watched): void {
    const state = this.#stateOf(watched.user)
    if (state === watched.sent) return
    watched.sent = state
    const wire = presenceWire(watched.user, state)
    for (const session of watched.watchers) {
      if (session.closed) continue
      if (isSlow(session)) this.#postpone(session, watched.user)
      else this.#push(session, wire)
    }
  }

  #postpone(session: Session, user: string): void {
    const late = this.#late.get(session)
    if (late === undefined) this.#late.set(session, new Set([user]))
    else late.add(user)
  }

  #pushLate(session: Session): void {
    if (isSlow(session)) return
    for (const user of this.#late.get(session) ?? [])
      this.#push(session, presenceWire(user, this.#users.get(user)?.sent ?? 'offline'))
    this.#late.delete(session)
  }

  #push(session: Session, wire: Wire): void {
    push(session, wire.frame(session.encoding))
    this.#pushes++
  }
}

const presenceWire = (user: string, state: Presence): Wire =>
  Wire.of({ t: 'signal', type: 'presence', user, state })
