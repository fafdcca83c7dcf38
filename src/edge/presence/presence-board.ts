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
import { PresenceAudience } from './audience.ts'
import type { Contacts } from './contacts.ts'
import type { LastSeen } from './last-seen.ts'
import { LocalPresence } from './local-presence.ts'
import { RemotePresence } from './remote-presence.ts'
import { WatchList } from './watch-list.ts'

/** Requests that clients send without an action of their users. */
const automatic: ReadonlySet<RequestType> = new Set<RequestType>([
  'ping',
  'sync',
  'delivered',
  'presence',
  'profiles',
  'invitations',
])

/** Pushes in one turn of the event loop: a node that dies may change the state of a hundred thousand watched users. */
const pushesPerTurn = 2_000
const turnEveryMs = 5
/** Lists that are written in one batch. */
const listsPerBatch = 64

/** Heartbeats of an edge node in its time to live. */
const heartbeatsPerLife = 3

/**
 * Which users are online, away or offline, on any edge node. Publishes the users of this node through a store, as lists
 * that it writes when they changed, together and at most once in `presenceEveryMs`; keeps the lists of the other nodes.
 * Pushes changes to watching sessions at the same interval. Never rejects: it retries when the store is unreachable.
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
  /** Which of the watched users each session sees. */
  readonly audience: PresenceAudience
  readonly #timer: NodeJS.Timeout
  /** When the list of each shard has to be written, as by `performance.now()`. */
  readonly #dueAt = new Float64Array(shardCount).fill(Number.POSITIVE_INFINITY)
  /** 1 for a shard whose stored list may have users. */
  readonly #stored = new Uint8Array(shardCount)
  #heartbeatAt = Number.NEGATIVE_INFINITY
  #pushing: NodeJS.Timeout | undefined
  #isWriting = false
  #isFailing = false

  /** Without a store, it knows the users of this node only. */
  constructor(
    parts: {
      edge: string
      sessions: SessionRegistry
      store: PresenceStore | undefined
      lastSeen: LastSeen | undefined
      contacts: Contacts
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
      { total: limits.presenceWatched, share: limits.userPresenceWatched },
      user => this.stateOf(user),
      () => parts.metrics.limited('presence_watched'),
    )
    this.audience = new PresenceAudience({
      contacts: parts.contacts,
      watches: this.#watches,
      sessions,
      stateOf: user => this.stateOf(user),
      logger: parts.logger,
    })
    this.#local = new LocalPresence(
      { awayMs: limits.awayMs, graceMs: limits.offlineMs },
      user => sessions.of(user),
      user => this.#changed(user),
    )
    this.#remote = new RemotePresence(
      { self: edge, ttlMs: limits.presenceLifeMs, maxCharacters: limits.presenceBytes },
      shard => this.#watches.changedIn(shard),
    )
    store?.follow({
      heard: record => this.#receive(record, performance.now()),
      lost: () => this.#writeAllAgain(),
    })
    this.#timer = setInterval(() => this.#check(performance.now()), limits.presenceEveryMs).unref()
  }

  /** Number of other edge nodes that are alive. */
  get otherNodes(): number {
    return this.#remote.size
  }

  stateOf(user: string): Presence {
    const here = this.#local.stateOf(user)
    return here === 'online' ? here : moreActive(here, this.#remote.stateOf(user))
  }

  /** A session opened. */
  opened(session: Session): void {
    session.activeAt = performance.now()
    this.#local.connected(session.user)
  }

  /** A session closed. `isLast`: the user has no other session at this node. */
  closed(session: Session, isLast: boolean): void {
    this.#watches.unwatch(session)
    if (isLast) this.#local.disconnected(session.user, performance.now())
  }

  /** A session sent a request. Called for each request, so it has to be cheap. `now` as by `performance.now()`. */
  acted(session: Session, type: RequestType, now: number): void {
    if (automatic.has(type)) return
    session.activeAt = now
    if (session.isIdle) this.#local.refresh(session.user, now)
  }

  /** A user sent a request over HTTP. It counts as an action on the user's event streams at this node. */
  actedOverHttp(user: string, type: RequestType, now: number): void {
    for (const session of this.#sessions.of(user))
      if (session.encoding === 'sse') this.acted(session, type, now)
  }

  /** A client reported that its user is active or away. Holds until its next report. */
  reported(session: Session, state: 'online' | 'away'): void {
    const now = performance.now()
    session.saysAway = state === 'away'
    session.activeAt = now
    this.#local.refresh(session.user, now)
  }

  /** Lets this node's users stay online for the other nodes for `offlineMs`, in which they may reconnect there. */
  close(): void {
    clearInterval(this.#timer)
    clearTimeout(this.#pushing)
    const { offlineMs } = this.#limits
    this.#store?.put([{ of: 'edge', edge: this.#edge, ttlMs: offlineMs }], offlineMs).catch(() => {})
    this.#store?.close()
  }

  /** This node receives its own lists, too. A list that it does not receive was lost by the store, and stays due. */
  #receive(record: PresenceRecord, now: number): void {
    this.#remote.receive(record, now)
    if (record.of !== 'users' || record.edge !== this.#edge) return
    const { shard, users } = record
    if (!(shard >= 0 && shard < shardCount) || users !== this.#local.list(shard)) return
    const isEmpty = users === noUsers
    this.#stored[shard] = isEmpty ? 0 : 1
    this.#dueAt[shard] = isEmpty
      ? Number.POSITIVE_INFINITY
      : now + (listLives / 2) * this.#limits.presenceLifeMs
  }

  #changed(user: string): void {
    this.#watches.changed(user)
    if (this.#local.stateOf(user) === 'offline')
      this.#lastSeen?.record(user, Date.now() - this.#limits.offlineMs)
  }

  #check(now: number): void {
    this.#local.check(now)
    this.#remote.check(now)
    if (this.#pushing === undefined) this.#push()
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

  #push(): void {
    const isAll = this.#watches.flush(pushesPerTurn)
    this.#pushing = isAll ? undefined : setTimeout(() => this.#push(), turnEveryMs).unref()
  }

  async #write(store: PresenceStore, now: number): Promise<void> {
    this.#isWriting = true
    try {
      for (const shard of this.#local.takeChanged()) this.#dueAt[shard] = now
      for (;;) {
        await this.#writeHeartbeat(store)
        const lists = this.#dueLists(now, listsPerBatch)
        if (lists.length === 0) break
        await store.put(lists, listLives * this.#limits.presenceLifeMs)
        this.#metrics.presenceStored(lists.length)
      }
      this.#isFailing = false
    } catch (error) {
      if (!this.#isFailing) this.#logger.warn({ err: error }, 'presence not stored, retrying')
      this.#isFailing = true
      this.#writeAllAgain()
    } finally {
      this.#isWriting = false
    }
  }

  /** Writes the heartbeat of this node when it is due. */
  async #writeHeartbeat(store: PresenceStore): Promise<void> {
    const now = performance.now()
    if (now < this.#heartbeatAt) return
    const { presenceLifeMs } = this.#limits
    this.#heartbeatAt = now + presenceLifeMs / heartbeatsPerLife
    await store.put([{ of: 'edge', edge: this.#edge, ttlMs: presenceLifeMs }], presenceLifeMs)
  }

  /**
   * At most `count` lists that changed, that were written a time to live ago and not received, or that are in the
   * second half of their own time to live.
   */
  #dueLists(now: number, count: number): UserList[] {
    const retryAt = now + this.#limits.presenceLifeMs
    const lists: UserList[] = []
    for (let shard = 0; shard < shardCount && lists.length < count; shard++) {
      if (this.#dueAt[shard]! > now) continue
      const users = this.#local.list(shard)
      lists.push({ of: 'users', edge: this.#edge, shard, users })
      this.#dueAt[shard] = retryAt
      this.#stored[shard] = 1
    }
    return lists
  }

  #writeAllAgain(): void {
    this.#heartbeatAt = Number.NEGATIVE_INFINITY
    for (let shard = 0; shard < shardCount; shard++)
      if (this.#stored[shard] === 1) this.#dueAt[shard] = Number.NEGATIVE_INFINITY
  }
}
