export { CommandServer, type CommandServerOptions } from './command-server.ts'
export { connectNats, type Nats, type NatsOptions } from './connection.ts'
export { DigestWriter } from './digest-writer.ts'
export { JetStreamEventLog } from './jetstream-event-log.ts'
export { JetStreamSnapshots } from './jetstream-snapshots.ts'
export { openLastSeenBucket } from './last-seen-bucket.ts'
export { discoverLog, type LogLayout } from './log-layout.ts'
export { LogWatch } from './log-watch.ts'
export type { InterestMode } from './narrowing.ts'
export { findNatsServer, natsServerVersion } from './nats-binary.ts'
export { Durability } from './nats-config.ts'
export {
  answerRetries,
  askRetry,
  type FiledLetter,
  NatsDeadLetters,
  readDeadLetters,
  removeDeadLetter,
} from './nats-dead-letters.ts'
export { NatsError, NatsProblem } from './nats-error.ts'
export { NatsEventSource } from './nats-event-source.ts'
export { openNatsLeases } from './nats-leases.ts'
export { type Followed, NatsLiveFeed, type NatsLiveFeedOptions } from './nats-live-feed.ts'
export { openNatsPlans } from './nats-plans.ts'
export { answerProjectionStatus, askProjectionStatus, type WorkerStatus } from './nats-projection-status.ts'
export { type NatsServer, type NatsServerOptions, startNatsServer } from './nats-server.ts'
export { NatsSignals } from './nats-signals.ts'
export { openPresenceBucket } from './presence-bucket.ts'
export { RemoteCommandBus } from './remote-command-bus.ts'
export { findRunningServer, type ServerRecord } from './server-record.ts'
export {
  type Applied,
  applyStreams,
  type LoadStreamsOptions,
  loadStreams,
  type StreamDefinition,
  type StreamStatus,
  streamsStatus,
} from './streams.ts'
