export { Contacts } from './contacts.ts'
export { LastSeen } from './last-seen.ts'
export { PresenceBoard } from './presence-board.ts'
export { type PresenceCount, PresenceCounts } from './presence-counts.ts'
