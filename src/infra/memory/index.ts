export { type AppendFault, MemoryEventLog, MemorySnapshotStore } from './memory-event-log.ts'
export { MemoryLiveFeed } from './memory-live-feed.ts'
