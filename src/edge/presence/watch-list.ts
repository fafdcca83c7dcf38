import { ConfabError, type Presence } from '../../events/index.ts'
import { Wire } from '../delivery/wire.ts'
import { shardCount, shardOf } from '../ports/presence-store.ts'
import { isSlow, push } from '../sessions/outbox.ts'
import type { Session } from '../sessions/session.ts'

interface Watched {
  readonly user: string
  readonly watchers: Set<Session>
  /** The state that they know. */
  told: Presence
}

/**
 * Who is watched, and by which sessions here: a user is one entry, however many watch it. Changes are collected until `flush`, which tells of each user what holds
 * then, if that is something else than what was told. Slow sockets are told once they have room, each user's last state alone.
 */
export class WatchList {
  readonly #most: number
  readonly #stateOf: (user: string) => Presence
  readonly #refused: () => void
  readonly #users = new Map<string, Watched>()
  readonly #shards = new Array<Set<Watched> | undefined>(shardCount)
  readonly #changed = new Set<Watched>()
  /** What slow sockets have not been told. */
  readonly #late = new Map<Session, Set<string>>()
  #pushes = 0

  /** `most`: users that are watched here at once; `refused` is told of each request that was too much. */
  constructor(most: number, stateOf: (user: string) => Presence, refused: () => void) {
    this.#most = most
    this.#stateOf = stateOf
    this.#refused = refused
  }

  /** Users that are watched. */
  get size(): number {
    return this.#users.size
  }

  /** A session watches these, each named once, in place of those before. Throws ConfabError OVERLOADED, and nothing has changed. */
  watch(session: Session, users: readonly string[]): void {
    const added = users.filter(user => !this.#users.has(user)).length
    if (added > 0 && this.#users.size + added > this.#most) {
      this.#refused()
      throw new ConfabError('OVERLOADED', 'This node watches as many users as it can; try again later.')
    }
    const before = new Set(session.watching)
    for (const user of users) {
      // It is answered with what holds now: whoever watches already has to know the same.
      const watched = this.#users.get(user)
      if (watched !== undefined) this.#tell(watched)
      if (!before.delete(user)) this.#add(session, user)
    }
    for (const user of before) this.#remove(session, user)
    session.watching = users.length === 0 ? undefined : users
  }

  unwatch(session: Session): void {
    for (const user of session.watching ?? []) this.#remove(session, user)
    session.watching = undefined
    this.#late.delete(session)
  }

  /** A user may be in another state. */
  changed(user: string): void {
    const watched = this.#users.get(user)
    if (watched !== undefined) this.#changed.add(watched)
  }

  /** Any user of a shard may be. */
  changedIn(shard: number): void {
    for (const watched of this.#shards[shard] ?? []) this.#changed.add(watched)
  }

  /** Pushes since this was asked. */
  takePushes(): number {
    const pushes = this.#pushes
    this.#pushes = 0
    return pushes
  }

  /** Tells what has changed, or as much of it as `most` pushes take, and what one more user does. Whether that was all. */
  flush(most = Number.POSITIVE_INFINITY): boolean {
    const until = this.#pushes + most
    for (const watched of this.#changed) {
      if (this.#pushes >= until) return false
      this.#changed.delete(watched)
      this.#tell(watched)
    }
    for (const session of this.#late.keys()) this.#tellLate(session)
    return true
  }

  #add(session: Session, user: string): void {
    let watched = this.#users.get(user)
    if (watched === undefined) {
      watched = { user, watchers: new Set(), told: this.#stateOf(user) }
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

  #tell(watched: Watched): void {
    const state = this.#stateOf(watched.user)
    if (state === watched.told) return
    watched.told = state
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

  #tellLate(session: Session): void {
    if (isSlow(session)) return
    for (const user of this.#late.get(session) ?? [])
      this.#push(session, presenceWire(user, this.#users.get(user)?.told ?? 'offline'))
    this.#late.delete(session)
  }

  #push(session: Session, wire: Wire): void {
    push(session, wire.frame(session.encoding))
    this.#pushes++
  }
}

const presenceWire = (user: string, state: Presence): Wire =>
  Wire.of({ t: 'signal', type: 'presence', user, state })
