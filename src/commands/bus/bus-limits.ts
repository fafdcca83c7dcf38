import { defaultsOf, option, type ValuesOf } from '../../base/option.ts'
import { duration, GiB, integer, MiB, minutes, seconds, size } from '../../base/option-types.ts'

/** Limits of a command bus. */
export const busOptions = {
  queued: option({
    key: 'commands.queued',
    type: integer(1, 1_000_000),
    default: 1024,
    unit: 'commands',
    doc: 'Commands that wait in the queue of one conversation or user; one more is OVERLOADED.',
  }),
  userQueued: option({
    key: 'commands.userQueued',
    type: integer(1, 1_000_000),
    default: 512,
    unit: 'commands',
    doc: 'Commands of one user that wait in the queue of one conversation, of `commands.queued`; one more is OVERLOADED.',
  }),
  open: option({
    key: 'commands.open',
    type: integer(1, 10_000_000),
    default: 32_768,
    unit: 'commands',
    doc: 'Commands under way in the process; one more is OVERLOADED.',
  }),
  batchFrom: option({
    key: 'commands.batchFrom',
    type: integer(2, 1_000),
    default: 32,
    unit: 'commands',
    doc: 'Queue length from which on the bus appends the queue as one batch.',
  }),
  batchMost: option({
    key: 'commands.batchMost',
    type: integer(2, 1_000),
    default: 256,
    unit: 'commands',
    doc: 'Commands that the bus appends as one batch, at most.',
  }),
  conflicts: option({
    key: 'commands.conflicts',
    type: integer(0, 1_000),
    default: 8,
    unit: 'conflicts',
    doc: 'Conflicts with appends of other processes after which a command is OVERLOADED.',
  }),
  deadlineMs: option({
    key: 'commands.deadline',
    type: duration(100, minutes),
    // Less than the 10 s after which the HTTP server closes a connection that waits for its answer.
    default: 6 * seconds,
    doc: 'Time that the bus retries an unreachable log before a command is UNAVAILABLE.',
  }),
  conversationBytes: option({
    key: 'commands.cache',
    type: size(MiB, 1024 * GiB),
    default: 256 * MiB,
    doc: 'Memory for cached conversation states (estimated), also of an edge node without the role commands.',
  }),
  userBytes: option({
    key: 'commands.userCache',
    type: size(MiB, 1024 * GiB),
    default: 64 * MiB,
    doc: 'Memory for cached user states (estimated).',
  }),
  lookupBytes: option({
    key: 'commands.lookupCache',
    type: size(MiB, 1024 * GiB),
    default: 256 * MiB,
    doc: 'Memory for message ids that the bus reads from the log while the timeline lags (estimated).',
  }),
  snapshotEvery: option({
    key: 'commands.snapshotEvery',
    type: integer(16, 1_000_000),
    default: 256,
    unit: 'events',
    doc: 'Events between two snapshots of a conversation or user.',
  }),
  channelMembers: option({
    key: 'commands.channelMembers',
    type: integer(1, 100_000),
    default: 1_000,
    unit: 'members',
    doc: "Members that a channel's own log holds. Users who join beyond them follow the channel, in their own log.",
  }),
  bans: option({
    key: 'commands.bans',
    type: integer(1, 10_000),
    default: 1_000,
    unit: 'bans',
    doc: 'Bans of one conversation; one more is CONFLICT.',
  }),
  invitations: option({
    key: 'commands.invitations',
    type: integer(1, 10_000),
    default: 1_000,
    unit: 'invitations',
    doc: 'Open invitations of one conversation; one more is CONFLICT.',
  }),
  userInvitations: option({
    key: 'commands.userInvitations',
    type: integer(1, 10_000),
    default: 500,
    unit: 'invitations',
    doc: 'Open invitations that one user has made in one conversation; one more is CONFLICT.',
  }),
  messageReactions: option({
    key: 'commands.messageReactions',
    type: integer(1, 100),
    default: 64,
    unit: 'reactions',
    doc: 'Different reactions to one message.',
  }),
  userReactions: option({
    key: 'commands.userReactions',
    type: integer(1, 100),
    default: 20,
    unit: 'reactions',
    doc: 'Different reactions of one user to one message.',
  }),
} as const

export type BusLimits = ValuesOf<typeof busOptions>

/** Limits of the queue of one aggregate. */
export type QueueLimits = Pick<
  BusLimits,
  'queued' | 'userQueued' | 'batchFrom' | 'batchMost' | 'conflicts' | 'deadlineMs'
>

export const defaultBusLimits: BusLimits = defaultsOf(busOptions)

/** Limits of an edge node that sends its commands to commands nodes. */
export const remoteOptions = {
  open: option({
    key: 'commands.remote.open',
    type: integer(1, 10_000_000),
    default: 32_768,
    unit: 'commands',
    doc: 'Unanswered commands of an edge node; one more is OVERLOADED.',
  }),
  tryMs: option({
    key: 'commands.remote.tryAgain',
    type: duration(250, minutes),
    default: 2 * seconds,
    doc: 'Time without an answer after which the node sends a command again, with the same id.',
  }),
  timeoutMs: option({
    key: 'commands.remote.timeout',
    formerKey: 'commands.remote.patience',
    type: duration(250, 5 * minutes),
    // Longer than `commands.deadline`, shorter than the 10 s of the HTTP server.
    default: 8 * seconds,
    doc: 'Time that the node retries a command before it is UNAVAILABLE.',
  }),
} as const

export type RemoteLimits = ValuesOf<typeof remoteOptions>

export const defaultRemoteLimits: RemoteLimits = defaultsOf(remoteOptions)
