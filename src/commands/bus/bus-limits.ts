/** Limits of the queue of one aggregate. */
export interface QueueLimits {
  /** Commands that may wait for one aggregate. Further ones are refused as OVERLOADED. */
  readonly queued: number
  /** Queue length from which commands are decided together and appended as one batch. */
  readonly batchFrom: number
  /** Commands in one batch, at most. */
  readonly batchMost: number
  /** Conflicts after which a command fails as OVERLOADED. */
  readonly conflicts: number
  /** Time after which a command fails as UNAVAILABLE while the log cannot be reached, ms. */
  readonly deadlineMs: number
}

/** Limits of a command bus. */
export interface BusLimits extends QueueLimits {
  /** Commands in flight in this process. Further ones are refused as OVERLOADED. */
  readonly open: number
  /** Estimated memory of cached conversations, bytes. */
  readonly conversationBytes: number
  /** Estimated memory of cached users, bytes. */
  readonly userBytes: number
  /** Estimated memory of message ids that look-ups read from the log, bytes. */
  readonly lookupBytes: number
  /** Events between two snapshots of an aggregate. */
  readonly snapshotEvery: number
  /** Members that the log of a channel holds. Users who join later follow the channel: their own logs record it. */
  readonly channelMembers: number
}

export const defaultBusLimits: BusLimits = {
  queued: 1024,
  open: 32_768,
  batchFrom: 32,
  batchMost: 256,
  conflicts: 8,
  // Less than the 10 s after which the HTTP server closes a connection that waits for its answer.
  deadlineMs: 6_000,
  conversationBytes: 256 * 1024 * 1024,
  userBytes: 64 * 1024 * 1024,
  lookupBytes: 256 * 1024 * 1024,
  snapshotEvery: 256,
  channelMembers: 1_000,
}

/** Limits of an edge node that sends its commands to commands nodes. */
export interface RemoteLimits {
  /** Unanswered commands. Further ones are refused as OVERLOADED. */
  readonly open: number
  /** Time without an answer after which a command is sent again with the same id, ms. */
  readonly tryMs: number
  /** Time after which a command fails as UNAVAILABLE, ms. */
  readonly patienceMs: number
}

export const defaultRemoteLimits: RemoteLimits = {
  open: 32_768,
  tryMs: 2_000,
  // Longer than the deadline of the commands node, shorter than the 10 s of the HTTP server.
  patienceMs: 8_000,
}
