import { fnv1a32, type Presence } from '../../events/index.ts'

/** An edge tells of its users in as many parts; the same for all edges of a system (ADR 0023). */
export const shardCount = 1024

export const shardOf = (user: string): number => fnv1a32(user) % shardCount

/** How long what an edge says of its users is kept, in lives of an edge: it counts only while the edge lives, which alone has to be said again often. */
export const listLives = 40

/** Who of a shard's users is with an edge. */
export interface UserList {
  readonly of: 'users'
  readonly edge: string
  readonly shard: number
  /** As `listUsers` writes it. */
  readonly users: string
}

/** What an edge tells the others: that it lives, for so long unless it says so again; and its users. */
export type PresenceRecord = { readonly of: 'edge'; readonly edge: string; readonly ttlMs: number } | UserList

/** ` alice bob | carol `: those online, a bar, those away. One string a shard is all that other edges keep of its users. */
export const listUsers = (states: ReadonlyMap<string, 'online' | 'away'> | undefined): string => {
  let online = ''
  let away = ''
  for (const [user, state] of states ?? [])
    if (state === 'online') online += ` ${user}`
    else away += ` ${user}`
  return `${online} |${away} `
}

/** The list without anybody. */
export const noUsers = listUsers(undefined)

/** What a list says of a user. Ids have neither blanks nor bars. */
export const stateIn = (users: string, user: string): Presence => {
  const at = users.indexOf(` ${user} `)
  if (at < 0) return 'offline'
  return at < users.indexOf('|') ? 'online' : 'away'
}

/** Who is online anywhere is; who is away anywhere, and online nowhere, is away. */
export const moreActive = (one: Presence, other: Presence): Presence => {
  if (one === 'online' || other === 'online') return 'online'
  return one === 'away' ? one : other
}

export interface PresenceListener {
  /** What an edge said last of itself or a shard, this edge included; again and again, in no order but each edge's own. */
  heard(record: PresenceRecord): void
  /** What was stored may be lost: all of it has to be said again. */
  lost(): void
}

/** What edges tell each other of their users: the newest record of each edge and shard, for as long as it lives. Port. */
export interface PresenceStore {
  /** Resolves when all are stored, for `ttlMs` unless they are said again; rejects when some are not, nobody knows which. */
  put(records: readonly PresenceRecord[], ttlMs: number): Promise<void>
  /** All that is stored, then what comes. */
  follow(listener: PresenceListener): void
  close(): void
}
