import type { PresenceRecord } from './presence-record.ts'

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
