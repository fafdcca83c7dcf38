export * from './command-bus.ts'
export * from './event-log.ts'
export * from './live-feed.ts'
export * from './message-lookup.ts'
