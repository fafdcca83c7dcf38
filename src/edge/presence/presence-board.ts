import type { Logger } from '../../base/logger.ts'
import type { Presence, RequestType } from '../../events/index.ts'
import type { EdgeLimits } from '../ports/edge-limits.ts'
import type { EdgeMetrics } from '../ports/edge-metrics.ts'
import type { PresenceStore } from '../ports/presence-store.ts'
import {
  listLives,
  moreActive,
  noUsers,
  type PresenceRecord,
  shardCount,
  type UserList,
} from '../ports/presence-store.ts'
import type { Session } from '../sessions/session.ts'
import type { SessionRegistry } from '../sessions/session-registry.ts'
import type { LastSeen } from './last-seen.ts'
import { LocalPresence } from './local-presence.ts'
import { RemotePresence } from './remote-presence.ts'
import { WatchList } from './watch-list.ts'

/** What clients send by themselves: it says nothing of their users. */
const automatic: ReadonlySet<RequestType> = new Set<RequestType>(['ping', 'sync', 'delivered', 'presence'])

/** Pushes that are made without letting others have their turn: a node that dies may change what a hundred thousand watch. */
const pushesAtOnce = 2_000
const pauseMs = 5
/** Lists that are written without waiting. */
const listsAtOnce = 64

/** An edge says this often, in the time that it says it lives, that it does. */
const beatsALife = 3

/**
 * Who is online, away or offline, on any edge. What this node's users are is told to the others by a store, as lists that are written when they have changed, together, once
 * in `presenceEveryMs` at most; what others said is kept as they said it. Who watches is told as often. Never rejects: a store that cannot be reached is asked again.
 */
export class PresenceBoard {
  readonly #edge: string
  readonly #sessions: SessionRegistry
  readonly #store: PresenceStore | undefined
  readonly #lastSeen: LastSeen | undefined
  readonly #metrics: EdgeMetrics
  readonly #logger: Logger
  readonly #limits: EdgeLimits
  readonly #local: LocalPresence
  readonly #remote: RemotePresence
  readonly #watches: WatchList
  readonly #timer: NodeJS.Timeout
  /** When what is stored of each shard has to be said again. */
  readonly #dueAt = new Float64Array(shardCount).fill(Number.POSITIVE_INFINITY)
  /** Shards of which somebody may be stored. */
  readonly #stored = new Uint8Array(shardCount)
  #beatAt = Number.NEGATIVE_INFINITY
  #telling: NodeJS.Timeout | undefined
  #isWriting = false
  #isFailing = false

  /** Without a store, of this node's users only. */
  constructor(
    parts: {
      edge: string
      sessions: SessionRegistry
      store: PresenceStore | undefined
      lastSeen: LastSeen | undefined
      metrics: EdgeMetrics
      logger: Logger
    },
    limits: EdgeLimits,
  ) {
    const { edge, sessions, store } = parts
    this.#edge = edge
    this.#sessions = sessions
    this.#store = store
    this.#lastSeen = parts.lastSeen
    this.#metrics = parts.metrics
    this.#logger = parts.logger
    this.#limits = limits
    this.#watches = new WatchList(
      limits.presenceWatched,
      user => this.stateOf(user),
      () => parts.metrics.limited('presence_watched'),
    )
    this.#local = new LocalPresence(
      { awayMs: limits.awayMs, graceMs: limits.offlineMs },
      user => sessions.of(user),
      user => this.#changedHere(user),
    )
    this.#remote = new RemotePresence(
      { self: edge, ttlMs: limits.presenceLifeMs, most: limits.presenceBytes },
      shard => this.#watches.changedIn(shard),
    )
    store?.follow({
      heard: record => this.#heard(record, performance.now()),
      lost: () => this.#sayAllAgain(),
    })
    this.#timer = setInterval(() => this.#look(performance.now()), limits.presenceEveryMs).unref()
  }

  stateOf(user: string): Presence {
    const here = this.#local.stateOf(user)
    return here === 'online' ? here : moreActive(here, this.#remote.stateOf(user))
  }

  /** A session that has just been opened. */
  opened(session: Session): void {
    session.activeAt = performance.now()
    this.#local.came(session.user)
  }

  /** A session that had been; `isLast` of its user here. */
  closed(session: Session, isLast: boolean): void {
    this.#watches.unwatch(session)
    if (isLast) this.#local.left(session.user, performance.now())
  }

  /** A request of a session; for every one, so that it does next to nothing. `now` as by `performance.now()`. */
  acted(session: Session, type: RequestType, now: number): void {
    if (automatic.has(type)) return
    session.activeAt = now
    if (session.isIdle) this.#local.refresh(session.user, now)
  }

  /** A request over HTTP: of a user whose devices here are event streams, if any. */
  actedOverHttp(user: string, type: RequestType, now: number): void {
    for (const session of this.#sessions.of(user))
      if (session.encoding === 'sse') this.acted(session, type, now)
  }

  /** A client says that its user is at it, or is not: which holds until it says otherwise. */
  said(session: Session, state: 'online' | 'away'): void {
    const now = performance.now()
    session.saysAway = state === 'away'
    session.activeAt = now
    this.#local.refresh(session.user, now)
  }

  /** A session goes on getting the changes of these users, each named once, in place of those that it watched before. Throws ConfabError OVERLOADED. */
  watch(session: Session, users: readonly string[]): void {
    if (!session.closed) this.#watches.watch(session, users)
  }

  /** Whoever is here is left to the others for as long as they may be on their way to them. */
  close(): void {
    clearInterval(this.#timer)
    clearTimeout(this.#telling)
    const { offlineMs } = this.#limits
    this.#store?.put([{ of: 'edge', edge: this.#edge, ttlMs: offlineMs }], offlineMs).catch(() => {})
    this.#store?.close()
  }

  /** What it has said itself comes back as well. What does not was lost by the store, whatever that has acked: then it stays due. */
  #heard(record: PresenceRecord, now: number): void {
    this.#remote.heard(record, now)
    if (record.of !== 'users' || record.edge !== this.#edge) return
    const { shard, users } = record
    if (!(shard >= 0 && shard < shardCount) || users !== this.#local.list(shard)) return
    const isEmpty = users === noUsers
    this.#stored[shard] = isEmpty ? 0 : 1
    this.#dueAt[shard] = isEmpty
      ? Number.POSITIVE_INFINITY
      : now + (listLives / 2) * this.#limits.presenceLifeMs
  }

  #changedHere(user: string): void {
    this.#watches.changed(user)
    if (this.#local.stateOf(user) === 'offline')
      this.#lastSeen?.went(user, Date.now() - this.#limits.offlineMs)
  }

  #look(now: number): void {
    this.#local.look(now)
    this.#remote.look(now)
    if (this.#telling === undefined) this.#tell()
    const { size: edges, characters: bytes } = this.#remote
    this.#metrics.presence({
      users: this.#local.size,
      watched: this.#watches.size,
      edges,
      bytes,
      pushes: this.#watches.takePushes(),
    })
    void this.#lastSeen?.write()
    if (this.#store !== undefined && !this.#isWriting) void this.#write(this.#store, now)
  }

  #tell(): void {
    const isAll = this.#watches.flush(pushesAtOnce)
    this.#telling = isAll ? undefined : setTimeout(() => this.#tell(), pauseMs).unref()
  }

  async #write(store: PresenceStore, now: number): Promise<void> {
    this.#isWriting = true
    try {
      for (const shard of this.#local.takeChanged()) this.#dueAt[shard] = now
      for (;;) {
        await this.#beat(store)
        const lists = this.#dueLists(now, listsAtOnce)
        if (lists.length === 0) break
        await store.put(lists, listLives * this.#limits.presenceLifeMs)
        this.#metrics.presenceStored(lists.length)
      }
      this.#isFailing = false
    } catch (error) {
      if (!this.#isFailing) this.#logger.warn({ err: error }, 'presence cannot be told to other nodes')
      this.#isFailing = true
      this.#sayAllAgain()
    } finally {
      this.#isWriting = false
    }
  }

  /** Says that this node lives, when it is time to. */
  async #beat(store: PresenceStore): Promise<void> {
    const now = performance.now()
    if (now < this.#beatAt) return
    const { presenceLifeMs } = this.#limits
    this.#beatAt = now + presenceLifeMs / beatsALife
    await store.put([{ of: 'edge', edge: this.#edge, ttlMs: presenceLifeMs }], presenceLifeMs)
  }

  /** Some of what has changed, of what was said a life ago and has not been heard, and of what has not been said for half of the time that it is kept. */
  #dueLists(now: number, most: number): UserList[] {
    const againAt = now + this.#limits.presenceLifeMs
    const lists: UserList[] = []
    for (let shard = 0; shard < shardCount && lists.length < most; shard++) {
      if (this.#dueAt[shard]! > now) continue
      const users = this.#local.list(shard)
      lists.push({ of: 'users', edge: this.#edge, shard, users })
      this.#dueAt[shard] = againAt
      this.#stored[shard] = 1
    }
    return lists
  }

  #sayAllAgain(): void {
    this.#beatAt = Number.NEGATIVE_INFINITY
    for (let shard = 0; shard < shardCount; shard++)
      if (this.#stored[shard] === 1) this.#dueAt[shard] = Number.NEGATIVE_INFINITY
  }
}
