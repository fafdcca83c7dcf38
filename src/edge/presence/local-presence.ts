import type { Presence } from '../../events/index.ts'
import { listUsers, shardCount, shardOf } from '../ports/presence-store.ts'

/** What presence knows of a session. Times as of the clock that everything here is told. */
export interface Device {
  /** When its user did something by it, ms. */
  activeAt: number
  /** Its client said so. */
  saysAway: boolean
  /** The user counts as away: the next thing that it does changes that. */
  isIdle: boolean
}

/** How often each user is looked at, in the time after which one is away. */
const looksAnAway = 10
const mostBetweenLooksMs = 30_000

/**
 * The users with sockets at this node: online while the most active of their devices is, away after `awayMs` without anything done by any of them (0: never), offline
 * `graceMs` after the last has gone, so that a reconnect is none of anybody's business. Pure: sessions and the time are told.
 */
export class LocalPresence {
  readonly #awayMs: number
  readonly #graceMs: number
  readonly #devicesOf: (user: string) => readonly Device[]
  readonly #changed: (user: string) => void
  readonly #shards = new Array<Map<string, 'online' | 'away'> | undefined>(shardCount)
  readonly #dirty = new Set<number>()
  /** Whose last socket has gone, and when that is told; the first first. */
  readonly #leaving = new Map<string, number>()
  #size = 0
  #nextLook = 0
  #lookedAt: number | undefined

  constructor(
    { awayMs, graceMs }: { awayMs: number; graceMs: number },
    devicesOf: (user: string) => readonly Device[],
    changed: (user: string) => void,
  ) {
    this.#awayMs = awayMs
    this.#graceMs = graceMs
    this.#devicesOf = devicesOf
    this.#changed = changed
  }

  /** Users that are not offline. */
  get size(): number {
    return this.#size
  }

  /** A socket of its has come. */
  came(user: string): void {
    this.#leaving.delete(user)
    this.#set(user, 'online')
  }

  /** The last socket of its has gone. */
  left(user: string, now: number): void {
    this.#leaving.delete(user)
    this.#leaving.set(user, now + this.#graceMs)
  }

  /** Something was done, or said, by a device of a user who has some. */
  refresh(user: string, now: number): void {
    const devices = this.#devicesOf(user)
    if (devices.length === 0) return
    const isActive = devices.some(device => this.#isActive(device, now))
    for (const device of devices) device.isIdle = !isActive
    this.#set(user, isActive ? 'online' : 'away')
  }

  /** Ends what is over. To be called every now and then: each time some of the users are looked at. */
  look(now: number): void {
    for (const [user, until] of this.#leaving) {
      if (until > now) break
      this.#leaving.delete(user)
      this.#set(user, 'offline')
    }
    if (this.#awayMs === 0) return
    const roundMs = Math.min(this.#awayMs / looksAnAway, mostBetweenLooksMs)
    const share = (now - (this.#lookedAt ?? now)) / roundMs
    this.#lookedAt = now
    for (let left = Math.min(shardCount, Math.ceil(share * shardCount)); left > 0; left--) {
      for (const [user, state] of this.#shards[this.#nextLook] ?? [])
        if (state === 'online') this.refresh(user, now)
      this.#nextLook = (this.#nextLook + 1) % shardCount
    }
  }

  stateOf(user: string): Presence {
    return this.#shards[shardOf(user)]?.get(user) ?? 'offline'
  }

  /** The list of a shard's users, as other edges get it. */
  list(shard: number): string {
    return listUsers(this.#shards[shard])
  }

  /** Shards that have changed since this was asked. */
  takeChanged(): number[] {
    const changed = [...this.#dirty]
    this.#dirty.clear()
    return changed
  }

  #isActive(device: Device, now: number): boolean {
    return !device.saysAway && (this.#awayMs === 0 || now - device.activeAt < this.#awayMs)
  }

  #set(user: string, state: Presence): void {
    const shard = shardOf(user)
    const users = this.#shards[shard]
    const before = users?.get(user)
    if ((before ?? 'offline') === state) return
    if (state !== 'offline') {
      if (users === undefined) this.#shards[shard] = new Map([[user, state]])
      else users.set(user, state)
      if (before === undefined) this.#size++
    } else {
      this.#size--
      users?.delete(user)
      if (users?.size === 0) this.#shards[shard] = undefined
    }
    this.#dirty.add(shard)
    this.#changed(user)
  }
}
