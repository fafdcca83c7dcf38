import type { Presence } from '../../events/index.ts'
import {
  listLives,
  moreActive,
  noUsers,
  type PresenceRecord,
  shardCount,
  shardOf,
  stateIn,
} from '../ports/presence-store.ts'

interface RemoteEdge {
  /** Lists of users by shard. Kept while the edge node is silent: it may only be disconnected. */
  readonly lists: Map<number, string>
  aliveUntil: number
  isAlive: boolean
}

/**
 * The users of the other edge nodes, by the records that those nodes publish. The users of a node that is silent for
 * longer than its time to live are offline. This node judges that only while it receives its own records. Has no clock:
 * the caller passes the time. Bounded: beyond `maxCharacters` further lists are dropped, and their users look offline
 * here.
 */
export class RemotePresence {
  readonly #self: string
  readonly #ttlMs: number
  readonly #maxCharacters: number
  readonly #onChange: (shard: number) => void
  readonly #edges = new Map<string, RemoteEdge>()
  #receivedOwnAt = Number.NEGATIVE_INFINITY
  #characters = 0

  /** `onChange` is called with each shard whose users may have changed. */
  constructor(
    { self, ttlMs, maxCharacters }: { self: string; ttlMs: number; maxCharacters: number },
    onChange: (shard: number) => void,
  ) {
    this.#self = self
    this.#ttlMs = ttlMs
    this.#maxCharacters = maxCharacters
    this.#onChange = onChange
  }

  /** Number of other edge nodes that are alive. */
  get size(): number {
    let alive = 0
    for (const edge of this.#edges.values()) if (edge.isAlive) alive++
    return alive
  }

  /** Characters of all lists. */
  get characters(): number {
    return this.#characters
  }

  receive(record: PresenceRecord, now: number): void {
    if (record.edge === this.#self) {
      if (record.of === 'edge') this.#receiveOwn(now)
    } else if (record.of === 'edge') this.#extend(this.#edge(record.edge, now), now + record.ttlMs)
    else this.#keep(this.#edge(record.edge, now), record.shard, record.users)
  }

  /** Ends the edge nodes whose time to live was over when this node last received its own record. */
  check(now: number): void {
    for (const [name, edge] of this.#edges) {
      if (edge.isAlive && edge.aliveUntil <= Math.min(now, this.#receivedOwnAt)) {
        edge.isAlive = false
        this.#changedAll(edge)
      }
      if (edge.aliveUntil + listLives * this.#ttlMs <= now) this.#drop(name, edge)
    }
  }

  stateOf(user: string): Presence {
    const shard = shardOf(user)
    let state: Presence = 'offline'
    for (const edge of this.#edges.values()) {
      if (!edge.isAlive) continue
      const list = edge.lists.get(shard)
      if (list !== undefined) state = moreActive(state, stateIn(list, user))
      if (state === 'online') break
    }
    return state
  }

  /**
   * After a time in which this node missed its own records, gives the other nodes a whole time to live to be received.
   */
  #receiveOwn(now: number): void {
    if (now - this.#receivedOwnAt > this.#ttlMs / 2)
      for (const edge of this.#edges.values())
        if (edge.isAlive) edge.aliveUntil = Math.max(edge.aliveUntil, now + this.#ttlMs)
    this.#receivedOwnAt = now
  }

  #extend(edge: RemoteEdge, aliveUntil: number): void {
    edge.aliveUntil = aliveUntil
    if (edge.isAlive) return
    edge.isAlive = true
    this.#changedAll(edge)
  }

  #keep(edge: RemoteEdge, shard: number, list: string): void {
    if (!(shard >= 0 && shard < shardCount)) return
    const before = edge.lists.get(shard)
    if (before === list) return
    this.#characters -= before?.length ?? 0
    if (list === noUsers || this.#characters + list.length > this.#maxCharacters) edge.lists.delete(shard)
    else {
      this.#characters += list.length
      edge.lists.set(shard, list)
    }
    if (edge.isAlive) this.#onChange(shard)
  }

  /** The node of this name. Its lists may arrive before its first record. */
  #edge(name: string, now: number): RemoteEdge {
    let edge = this.#edges.get(name)
    if (edge === undefined) {
      edge = { lists: new Map(), aliveUntil: now, isAlive: false }
      this.#edges.set(name, edge)
    }
    return edge
  }

  #drop(name: string, edge: RemoteEdge): void {
    for (const list of edge.lists.values()) this.#characters -= list.length
    this.#edges.delete(name)
  }

  #changedAll(edge: RemoteEdge): void {
    for (const shard of edge.lists.keys()) this.#onChange(shard)
  }
}
