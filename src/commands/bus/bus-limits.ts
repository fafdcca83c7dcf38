import type { LaneLimits } from './command-handler.ts'

/** The bounds of a command bus, and its patience. */
export interface BusLimits extends LaneLimits {
  /** Commands under way in all; one more is OVERLOADED. */
  readonly open: number
  /** Memory of cached conversations, bytes, estimated. */
  readonly conversationBytes: number
  /** Memory of cached users, bytes, estimated. */
  readonly userBytes: number
  /** Memory of message ids that a lookup reads from the log, bytes, estimated. */
  readonly lookupBytes: number
  /** Events between two snapshots of an aggregate. */
  readonly snapshotEvery: number
  /** Members of a channel that its own log holds; who joins it beyond that follows it, in their own log. */
  readonly channelMembers: number
}

export const defaultBusLimits: BusLimits = {
  queued: 1024,
  open: 32_768,
  batchFrom: 32,
  batchMost: 256,
  conflicts: 8,
  // Under the 10 s after which the HTTP server closes a connection that waits for its answer.
  deadlineMs: 6_000,
  conversationBytes: 256 * 1024 * 1024,
  userBytes: 64 * 1024 * 1024,
  lookupBytes: 256 * 1024 * 1024,
  snapshotEvery: 256,
  channelMembers: 1_000,
}

/** The bounds of an edge whose commands are decided in other processes. */
export interface RemoteLimits {
  /** Commands that are unanswered; one more is OVERLOADED. */
  readonly open: number
  /** Silence after which a command is sent again, with the same id, ms. */
  readonly tryMs: number
  /** How long a command is tried before it is given up as UNAVAILABLE, ms. */
  readonly patienceMs: number
}

export const defaultRemoteLimits: RemoteLimits = {
  open: 32_768,
  tryMs: 2_000,
  // Longer than the deciding side tries, shorter than the 10 s of the HTTP server.
  patienceMs: 8_000,
}
