export { PresenceBoard } from './presence-board.ts'
export { type PresenceCount, PresenceCounts } from './presence-counts.ts'
export type { PresenceRecord } from './presence-record.ts'
export type { PresenceListener, PresenceStore } from './presence-store.ts'
