export * from './memory-event-log.ts'
export * from './memory-live-feed.ts'
export * from './memory-snapshot-store.ts'
