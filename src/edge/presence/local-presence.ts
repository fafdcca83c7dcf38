import type { Presence } from '../../events/index.ts'
import { listUsers, shardCount, shardOf } from '../ports/presence-store.ts'

/** The state of a session that presence depends on. Times are those of the caller's clock. */
export interface Device {
  /** When the user last acted through it, ms. */
  activeAt: number
  /** Whether its client reported that the user is away. */
  saysAway: boolean
  /** Whether the user counts as away, so that the next action changes that. */
  isIdle: boolean
}

/** Checks of each user in the time after which a user is away. */
const checksPerAway = 10
const maxCheckEveryMs = 30_000

/**
 * The users with sessions at this node. A user is as active as the most active of its devices: away after `awayMs`
 * without an action on any device (0: never), and offline `graceMs` after the last session closed, so that a reconnect
 * changes nothing. Has no clock: the caller passes the time.
 */
export class LocalPresence {
  readonly #awayMs: number
  readonly #graceMs: number
  readonly #devicesOf: (user: string) => readonly Device[]
  readonly #onChange: (user: string) => void
  readonly #shards = new Array<Map<string, 'online' | 'away'> | undefined>(shardCount)
  readonly #changedShards = new Set<number>()
  /** Users without sessions, and when they become offline; the earliest first. */
  readonly #leaving = new Map<string, number>()
  #size = 0
  #nextShard = 0
  #checkedAt: number | undefined

  constructor(
    { awayMs, graceMs }: { awayMs: number; graceMs: number },
    devicesOf: (user: string) => readonly Device[],
    onChange: (user: string) => void,
  ) {
    this.#awayMs = awayMs
    this.#graceMs = graceMs
    this.#devicesOf = devicesOf
    this.#onChange = onChange
  }

  /** Number of users that are not offline. */
  get size(): number {
    return this.#size
  }

  /** A session of the user opened. */
  connected(user: string): void {
    this.#leaving.delete(user)
    this.#set(user, 'online')
  }

  /** The last session of the user closed. */
  disconnected(user: string, now: number): void {
    this.#leaving.delete(user)
    this.#leaving.set(user, now + this.#graceMs)
  }

  /** Updates a user after an action or a report of one of its devices. */
  refresh(user: string, now: number): void {
    const devices = this.#devicesOf(user)
    if (devices.length === 0) return
    const isActive = devices.some(device => this.#isActive(device, now))
    for (const device of devices) device.isIdle = !isActive
    this.#set(user, isActive ? 'online' : 'away')
  }

  /** Makes users offline or away that are due. Each call checks a part of the users: call it regularly. */
  check(now: number): void {
    for (const [user, until] of this.#leaving) {
      if (until > now) break
      this.#leaving.delete(user)
      this.#set(user, 'offline')
    }
    if (this.#awayMs === 0) return
    const roundMs = Math.min(this.#awayMs / checksPerAway, maxCheckEveryMs)
    const share = (now - (this.#checkedAt ?? now)) / roundMs
    this.#checkedAt = now
    for (let left = Math.min(shardCount, Math.ceil(share * shardCount)); left > 0; left--) {
      for (const [user, state] of this.#shards[this.#nextShard] ?? [])
        if (state === 'online') this.refresh(user, now)
      this.#nextShard = (this.#nextShard + 1) % shardCount
    }
  }

  stateOf(user: string): Presence {
    return this.#shards[shardOf(user)]?.get(user) ?? 'offline'
  }

  /** The list of a shard's users, as other edge nodes get it. */
  list(shard: number): string {
    return listUsers(this.#shards[shard])
  }

  /** Shards that changed since the last call. */
  takeChanged(): number[] {
    const changed = [...this.#changedShards]
    this.#changedShards.clear()
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
    this.#changedShards.add(shard)
    this.#onChange(user)
  }
}
