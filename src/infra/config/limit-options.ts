import {
  type BusLimits,
  defaultBusLimits,
  defaultRemoteLimits,
  type RemoteLimits,
} from '../../commands/index.ts'
import { defaultEdgeLimits, type EdgeLimits } from '../../edge/ports/edge-limits.ts'
import { cassandraOptions } from './cassandra-options.ts'
import { elasticsearchOptions } from './elasticsearch-options.ts'
import { limit, type OptionsOf, orOff } from './limit-option.ts'
import { mediaOptions, s3Options } from './media-options.ts'
import { presenceOptions } from './presence-options.ts'
import { rateLimitOptions } from './rate-limit-options.ts'
import { duration, integer, size } from './values.ts'

const KiB = 1024
const MiB = 1024 ** 2
const GiB = 1024 ** 3
const seconds = 1_000
const minutes = 60_000
const days = 24 * 60 * minutes

const edge = defaultEdgeLimits
const bus = defaultBusLimits
const remote = defaultRemoteLimits

/** The bounds of an edge (src/edge/edge-limits.ts). */
const edgeOptions: OptionsOf<EdgeLimits> = {
  inFlight: limit(
    'edge.inFlight',
    integer(1, 65_536),
    edge.inFlight,
    'Requests of one socket that may be unanswered; one more is OVERLOADED.',
  ),
  userInFlight: limit(
    'edge.userInFlight',
    integer(0, 1_000_000),
    edge.userInFlight,
    'Unanswered requests of one user on this node, in all its sessions. The next request is OVERLOADED. 0: no limit.',
  ),
  backpressureBytes: limit(
    'edge.backpressure',
    size(64 * KiB, GiB),
    edge.backpressureBytes,
    'Bytes that may wait for a slow socket; beyond them it is closed, and resumes.',
  ),
  userBufferedBytes: limit(
    'edge.userBuffered',
    size(0, 64 * GiB),
    edge.userBufferedBytes,
    'Bytes buffered for the sessions of one user on this node. Beyond them the slowest are closed. 0: no limit.',
  ),
  closingBytes: limit(
    'edge.closingFrame',
    size(64 * KiB, 64 * MiB),
    edge.closingBytes,
    'Size of a frame beyond which its socket is closed with 1009.',
  ),
  transportBytes: limit(
    'edge.transportFrame',
    size(64 * KiB, 256 * MiB),
    edge.transportBytes,
    'Bytes that are read of one frame; beyond them the connection is dropped.',
  ),
  stalenessMs: limit(
    'edge.staleness',
    duration(seconds, 10 * minutes),
    edge.stalenessMs,
    'How long the live feed may be unsure of having everything before exact answers are refused.',
  ),
  viewWaitMs: limit(
    'edge.viewWait',
    duration(0, minutes),
    edge.viewWaitMs,
    'How long a query waits for a view to reach what has been delivered live.',
  ),
  seenWaitMs: limit(
    'edge.seenWait',
    duration(0, minutes),
    edge.seenWaitMs,
    'How long an inbox waits for what its client says to have seen.',
  ),
  undeliveredMs: limit(
    'edge.undelivered',
    duration(minutes, 365 * days),
    edge.undeliveredMs,
    'How long a message waits for a device of its receiver; then devices find it in the history.',
  ),
  rosterWaitMs: limit(
    'edge.rosterWait',
    duration(0, minutes),
    edge.rosterWaitMs,
    'How long hello waits for the roster to come within reach of the live feed.',
  ),
  helloMs: limit(
    'edge.hello',
    duration(100, 5 * minutes),
    edge.helloMs,
    'Time for the first frame; then 4002.',
  ),
  heartbeatMs: limit(
    'edge.heartbeat',
    duration(seconds, 10 * minutes),
    edge.heartbeatMs,
    'Silence after which a socket is pinged; one that stays silent is closed.',
  ),
  resumes: limit(
    'edge.resumes',
    integer(1, 10_000),
    edge.resumes,
    'Sessions whose missed events are read at the same time.',
  ),
  resumeConversations: limit(
    'edge.resumeConversations',
    integer(1, 10_000_000),
    edge.resumeConversations,
    'Conversations that one session may be waiting to have filled before its sync is OVERLOADED.',
  ),
  resumeCacheBytes: limit(
    'edge.resumeCache',
    orOff(size(64 * KiB, 64 * GiB)),
    edge.resumeCacheBytes,
    'Missed events that are kept for others who have missed the same.',
  ),
  slowMs: limit(
    'edge.slow',
    duration(100, 10 * minutes),
    edge.slowMs,
    'How long a session may take to make room for more of what it missed; then 4008.',
  ),
  resumeBuffer: limit(
    'edge.resumeBuffer',
    integer(1, 100_000),
    edge.resumeBuffer,
    "Live events that wait while a conversation's missed ones are read.",
  ),
  membershipEvents: limit(
    'edge.membershipEvents',
    integer(1, 10_000_000),
    edge.membershipEvents,
    'Membership changes that are remembered until the roster has them.',
  ),
  topicFrom: limit(
    'edge.topicFrom',
    integer(1, 1_000_000),
    edge.topicFrom,
    'Local sockets of a conversation from which on it is a topic of the transport.',
  ),
  receiptMembers: limit(
    'edge.receiptMembers',
    integer(0, 100_000),
    edge.receiptMembers,
    'Members up to which a conversation gets read receipts.',
  ),
  receiptEveryMs: limit(
    'edge.receiptEvery',
    duration(0, minutes),
    edge.receiptEveryMs,
    'How long moves of marks in a conversation are collected after it was told of one.',
  ),
  typingMembers: limit(
    'edge.typingMembers',
    integer(0, 100_000),
    edge.typingMembers,
    'Members up to which a conversation is told who types.',
  ),
  typingEveryMs: limit(
    'edge.typingEvery',
    duration(0, 10 * minutes),
    edge.typingEveryMs,
    "How long others hear nothing more of a user's typing in a conversation.",
  ),
  typingSilenceMs: limit(
    'edge.typingSilence',
    duration(100, 10 * minutes),
    edge.typingSilenceMs,
    'Silence after which typing ends by itself.',
  ),
  typists: limit(
    'edge.typists',
    integer(1, 10_000_000),
    edge.typists,
    'Users typing in conversations at the same time; of more nothing is told.',
  ),
  callMembers: limit(
    'edge.callMembers',
    integer(0, 100_000),
    edge.callMembers,
    'Members up to which a conversation has calls.',
  ),
  ...presenceOptions,
  ...rateLimitOptions,
  lagEvents: limit(
    'edge.lagEvents',
    integer(0, 10_000_000),
    edge.lagEvents,
    'Events that history takes from the log because the timeline lags; beyond them UNAVAILABLE.',
  ),
  drainMs: limit(
    'edge.drain',
    duration(0, minutes),
    edge.drainMs,
    'Within what a stop moves all clients: half of it for them to go by themselves; part of drain.',
  ),
}

/** The bounds of the command bus (src/commands/bus-limits.ts). */
const commandsOptions: OptionsOf<BusLimits> = {
  conversationBytes: limit(
    'commands.cache',
    size(MiB, 1024 * GiB),
    bus.conversationBytes,
    'Cached states of conversations; of an edge without commands, too.',
  ),
  userBytes: limit('commands.userCache', size(MiB, 1024 * GiB), bus.userBytes, 'Cached states of users.'),
  lookupBytes: limit(
    'commands.lookupCache',
    size(MiB, 1024 * GiB),
    bus.lookupBytes,
    'Ids of messages that are read from the log because the timeline lags.',
  ),
  queued: limit(
    'commands.queued',
    integer(1, 1_000_000),
    bus.queued,
    'Commands that wait for their turn in one conversation; one more is OVERLOADED.',
  ),
  open: limit(
    'commands.open',
    integer(1, 10_000_000),
    bus.open,
    'Commands under way in all; one more is OVERLOADED.',
  ),
  batchFrom: limit(
    'commands.batchFrom',
    integer(2, 1_000),
    bus.batchFrom,
    'A queue as long as this is appended in batches.',
  ),
  batchMost: limit('commands.batchMost', integer(2, 1_000), bus.batchMost, 'Commands in one batch.'),
  conflicts: limit(
    'commands.conflicts',
    integer(0, 1_000),
    bus.conflicts,
    'Times that other processes may be quicker before a command is OVERLOADED.',
  ),
  deadlineMs: limit(
    'commands.deadline',
    duration(100, minutes),
    bus.deadlineMs,
    'How long an unreachable log is tried before a command is UNAVAILABLE.',
  ),
  snapshotEvery: limit(
    'commands.snapshotEvery',
    integer(16, 1_000_000),
    bus.snapshotEvery,
    'Events between two snapshots of a conversation or user.',
  ),
  channelMembers: limit(
    'commands.channelMembers',
    integer(1, 100_000),
    bus.channelMembers,
    'Members of a channel in its own log; who joins beyond that follows it, in a log of their own.',
  ),
}

/** The bounds of an edge without commands (src/commands/bus-limits.ts). */
const remoteOptions: OptionsOf<RemoteLimits> = {
  open: limit(
    'commands.remote.open',
    integer(1, 10_000_000),
    remote.open,
    'Commands that an edge without commands may have unanswered; one more is OVERLOADED.',
  ),
  tryMs: limit(
    'commands.remote.tryAgain',
    duration(250, minutes),
    remote.tryMs,
    'Silence after which such an edge sends a command again, to whoever is there.',
  ),
  patienceMs: limit(
    'commands.remote.patience',
    duration(250, 5 * minutes),
    remote.patienceMs,
    'How long it tries before a command is UNAVAILABLE.',
  ),
}

/** Options that are a part of the configuration together, by its name there. */
export const groups = {
  edge: edgeOptions,
  commands: commandsOptions,
  remoteCommands: remoteOptions,
  media: mediaOptions,
  s3: s3Options,
  cassandra: cassandraOptions,
  elasticsearch: elasticsearchOptions,
} as const
