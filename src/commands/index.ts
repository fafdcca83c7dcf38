export * from './bus/bus-limits.ts'
export * from './bus/command-bus.ts'
export { commandIdOf } from './bus/command-ids.ts'
export * from './lookup/log-backed-lookup.ts'
export * from './ports/event-log.ts'
export * from './ports/live-feed.ts'
export * from './ports/message-lookup.ts'
export type { ConversationView, UserView } from './states/aggregate-views.ts'
export {
  createFollowingStates,
  createStates,
  type DecidingStates,
  type FollowingStates,
  type StateOptions,
  type StateReader,
} from './states/states.ts'
