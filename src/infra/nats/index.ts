export type { Revocation, RevocationStore } from '../../edge/ports/revocation-store.ts'
export {
  keyOf,
  type NodeSessions,
  type SessionFacts,
  type SessionQueries,
  type SessionQuery,
} from '../../edge/ports/session-queries.ts'
export { connectNats, errorCodeOf, type Nats, type NatsOptions } from './client/connection.ts'
export { streamNames } from './client/jetstream-api.ts'
export { asRightsError, NatsError, NatsProblem } from './client/nats-error.ts'
export { type Refusal, refusalText } from './client/refusals.ts'
export { supportedNats } from './client/server-versions.ts'
export { CommandServer, type CommandServerOptions } from './commands/command-server.ts'
export type { ServedStreams } from './commands/command-wire.ts'
export { RemoteCommandBus } from './commands/remote-command-bus.ts'
export { type ApplyBucketsOptions, applyBuckets, planBuckets } from './coordination/kv-bucket.ts'
export { openLastSeenBucket } from './coordination/last-seen-bucket.ts'
export { openPresenceBucket } from './coordination/presence-bucket.ts'
export {
  answerProjectionStatus,
  askProjectionStatus,
  openNatsLeases,
  openNatsPlans,
  type WorkerStatus,
} from './coordination/projection-coordination.ts'
export { openQuotaBucket } from './coordination/quota-bucket.ts'
export { openRevocationBucket } from './coordination/revocation-bucket.ts'
export { createSessionQueries } from './coordination/session-queries.ts'
export type { FetchProgress } from './embedded/fetch-server.ts'
export { findNatsServer, type NatsBinary } from './embedded/nats-binary.ts'
export { type NatsServer, type NatsServerOptions, startNatsServer } from './embedded/nats-server.ts'
export { findRunningServer, type ServerRecord } from './embedded/server-address.ts'
export { Durability } from './embedded/server-process.ts'
export { DigestWriter } from './feed/digest-writer.ts'
export type { InterestMode } from './feed/narrow-mode.ts'
export { type Followed, NatsLiveFeed, type NatsLiveFeedOptions } from './feed/nats-live-feed.ts'
export { NatsSignals } from './feed/nats-signals.ts'
export { AuditStream, type AuditStreamOptions } from './log/audit-stream.ts'
export { JetStreamEventLog } from './log/jetstream-event-log.ts'
export { JetStreamSnapshots } from './log/jetstream-snapshots.ts'
export { LiveLayout } from './log/live-layout.ts'
export { discoverLog, type LogLayout } from './log/log-layout.ts'
export { type AccountStorage, accountStorage } from './log/log-storage.ts'
export { LogWatch } from './log/log-watch.ts'
export {
  answerRetries,
  askRetry,
  countDeadLetters,
  type FiledLetter,
  NatsDeadLetters,
  readDeadLetters,
  removeDeadLetter,
} from './log/nats-dead-letters.ts'
export { NatsEventSource } from './log/nats-event-source.ts'
export type { StreamChange } from './log/stream-differences.ts'
export { type StreamStatus, streamsStatus } from './log/stream-status.ts'
export {
  type Applied,
  applyStreams,
  checkStreams,
  type LoadStreamsOptions,
  loadStreams,
  planStreams,
  type StreamDefinition,
} from './log/streams.ts'
export { countBySubject, type SubjectCounts } from './log/subject-counts.ts'
export { checkRights, type RightsFinding, rightsFinding } from './rights/check-rights.ts'
export { edgeRightsFile, rightsFile } from './rights/rights-file.ts'
export { mayReadState, type StateRights } from './rights/state-rights.ts'
