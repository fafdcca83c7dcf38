export * from './bus/bus-limits.ts'
export * from './bus/command-bus.ts'
export * from './lookup/log-backed-lookup.ts'
export * from './lookup/roster-shared.ts'
export * from './ports/epochs.ts'
export * from './ports/event-log.ts'
export * from './ports/live-feed.ts'
export * from './ports/message-lookup.ts'
export * from './ports/shared-conversations.ts'
export {
  type ConversationView,
  createFollowingStates,
  createStates,
  type DecidingStates,
  type FollowingStates,
  type StateOptions,
  type StateReader,
  type UserView,
} from './states/state-reader.ts'
