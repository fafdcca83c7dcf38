import { fnv1a32, type Presence } from '../../events/index.ts'

/** Shards into which every edge node splits its users. All nodes of a system must agree on it (ADR 0023). */
export const shardCount = 1024

export const shardOf = (user: string): number => fnv1a32(user) % shardCount

/**
 * Time that a user list is stored, as a multiple of the life of a node's record. A list counts only while the record of
 * its node is valid, so that only the small record has to be renewed often.
 */
export const listLives = 40

/** The online and away users of one shard on one edge node. */
export interface UserList {
  readonly of: 'users'
  readonly edge: string
  readonly shard: number
  /** Encoded by `listUsers`. */
  readonly users: string
}

/** A record that an edge node stores for other nodes: that it is alive for `ttlMs`, or one of its user lists. */
export type PresenceRecord = { readonly of: 'edge'; readonly edge: string; readonly ttlMs: number } | UserList

/** Encodes users as ` alice bob | carol `: online users, a bar, away users. One string per shard keeps memory small. */
export const listUsers = (states: ReadonlyMap<string, 'online' | 'away'> | undefined): string => {
  let online = ''
  let away = ''
  for (const [user, state] of states ?? [])
    if (state === 'online') online += ` ${user}`
    else away += ` ${user}`
  return `${online} |${away} `
}

/** The encoding of an empty list. */
export const noUsers = listUsers(undefined)

/** Returns the state of a user in an encoded list. User ids contain neither blanks nor bars. */
export const stateIn = (users: string, user: string): Presence => {
  const at = users.indexOf(` ${user} `)
  if (at < 0) return 'offline'
  return at < users.indexOf('|') ? 'online' : 'away'
}

/** Returns the more active of two states: online before away before offline. */
export const moreActive = (one: Presence, other: Presence): Presence => {
  if (one === 'online' || other === 'online') return 'online'
  return one === 'away' ? one : other
}

export interface PresenceListener {
  /** Receives the latest record of a node or shard, own records included. Repeats; ordered per node only. */
  heard(record: PresenceRecord): void
  /** Stored records may be lost: this node must store all its records again. */
  lost(): void
}

/**
 * Port: shares the users of each edge node. It keeps the newest record of each node and shard until the record expires.
 */
export interface PresenceStore {
  /** Stores records for `ttlMs`. Rejects when some of them, unknown which, were not stored. */
  put(records: readonly PresenceRecord[], ttlMs: number): Promise<void>
  /** Passes all stored records to the listener, then every change. */
  follow(listener: PresenceListener): void
  close(): void
}
