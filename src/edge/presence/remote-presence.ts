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
  /** Lists of users by shard; kept while the edge is silent, as it may only have been away. */
  readonly lists: Map<number, string>
  aliveUntil: number
  isAlive: boolean
}

/**
 * What the other edges have said of their users. An edge that is silent for longer than it said it would live has nobody any more; who does not hear itself is no judge
 * of that. The time is told. Bounded: beyond `most` characters no more lists are kept, their users look offline here.
 */
export class RemotePresence {
  readonly #self: string
  readonly #ttlMs: number
  readonly #most: number
  readonly #changed: (shard: number) => void
  readonly #edges = new Map<string, RemoteEdge>()
  #heardSelfAt = Number.NEGATIVE_INFINITY
  #characters = 0

  /** `changed` is told the shards of which somebody may be in another state. */
  constructor(
    { self, ttlMs, most }: { self: string; ttlMs: number; most: number },
    changed: (shard: number) => void,
  ) {
    this.#self = self
    this.#ttlMs = ttlMs
    this.#most = most
    this.#changed = changed
  }

  /** Other edges that live. */
  get size(): number {
    let alive = 0
    for (const edge of this.#edges.values()) if (edge.isAlive) alive++
    return alive
  }

  /** Characters of all lists. */
  get characters(): number {
    return this.#characters
  }

  heard(record: PresenceRecord, now: number): void {
    if (record.edge === this.#self) {
      if (record.of === 'edge') this.#heardSelf(now)
    } else if (record.of === 'edge') this.#heardOf(this.#edge(record.edge, now), now + record.ttlMs)
    else this.#keep(this.#edge(record.edge, now), record.shard, record.users)
  }

  /** Ends those that have been silent for too long: those that are not heard of by the time that this edge hears itself again. */
  look(now: number): void {
    for (const [name, edge] of this.#edges) {
      if (edge.isAlive && edge.aliveUntil <= Math.min(now, this.#heardSelfAt)) {
        edge.isAlive = false
        this.#changedAll(edge)
      }
      if (edge.aliveUntil + listLives * this.#ttlMs <= now) this.#forget(name, edge)
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

  /** After a silence in which it missed itself, the others have a whole life to be heard of again. */
  #heardSelf(now: number): void {
    if (now - this.#heardSelfAt > this.#ttlMs / 2)
      for (const edge of this.#edges.values())
        if (edge.isAlive) edge.aliveUntil = Math.max(edge.aliveUntil, now + this.#ttlMs)
    this.#heardSelfAt = now
  }

  #heardOf(edge: RemoteEdge, aliveUntil: number): void {
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
    if (list === noUsers || this.#characters + list.length > this.#most) edge.lists.delete(shard)
    else {
      this.#characters += list.length
      edge.lists.set(shard, list)
    }
    if (edge.isAlive) this.#changed(shard)
  }

  /** Its lists may come before it has said that it lives. */
  #edge(name: string, now: number): RemoteEdge {
    let edge = this.#edges.get(name)
    if (edge === undefined) {
      edge = { lists: new Map(), aliveUntil: now, isAlive: false }
      this.#edges.set(name, edge)
    }
    return edge
  }

  #forget(name: string, edge: RemoteEdge): void {
    for (const list of edge.lists.values()) this.#characters -= list.length
    this.#edges.delete(name)
  }

  #changedAll(edge: RemoteEdge): void {
    for (const shard of edge.lists.keys()) this.#changed(shard)
  }
}
