import { defaultsOf, option, type ValuesOf } from '../../base/option.ts'
import {
  days,
  duration,
  GiB,
  integer,
  KiB,
  MiB,
  minutes,
  orOff,
  seconds,
  size,
} from '../../base/option-types.ts'
import { Limits } from '../../events/limits.ts'
import { presenceOptions } from './presence-limits.ts'
import { quotaOptions } from './quota-limits.ts'
import { rateOptions } from './rate-limits.ts'

/** Sockets and requests. */
export const connectionOptions = {
  inFlight: option({
    key: 'edge.inFlight',
    type: integer(1, 65_536),
    default: 512,
    unit: 'requests',
    doc: 'Unanswered requests of one session; one more is OVERLOADED.',
  }),
  userInFlight: option({
    key: 'edge.userInFlight',
    type: orOff(integer(1, 1_000_000)),
    default: 2_048,
    unit: 'requests',
    doc: 'Unanswered requests of one user, in all sessions; one more is OVERLOADED.',
  }),
  largeAnswers: option({
    key: 'edge.largeAnswers',
    type: integer(1, 1_000),
    default: 8,
    unit: 'answers',
    doc: 'Large answers (pages, search results) of one session that are read or wait for the client at the same time. Further requests wait.',
  }),
  userLargeAnswers: option({
    key: 'edge.userLargeAnswers',
    type: integer(1, 10_000),
    default: 32,
    unit: 'answers',
    doc: 'Large answers of all sessions of one user that are read or wait for clients at the same time.',
  }),
  searches: option({
    key: 'edge.searches',
    type: integer(1, 10_000),
    default: 16,
    unit: 'searches',
    doc: 'Searches of all users that run at the same time; further ones wait in turn, user by user.',
  }),
  userSearches: option({
    key: 'edge.userSearches',
    type: integer(1, 1_000),
    default: 2,
    unit: 'searches',
    doc: 'Searches of one user that run at the same time.',
  }),
  searchMs: option({
    key: 'edge.searchTime',
    type: duration(100, 5 * minutes),
    default: 5 * seconds,
    doc: 'Time that a search may wait and run; after it the answer is OVERLOADED.',
  }),
  queuedBytes: option({
    key: 'edge.queuedBeforeHello',
    type: size(KiB, 64 * MiB),
    default: 256 * KiB,
    doc: 'Bytes of requests that one session may send before `hello` is answered; further ones are OVERLOADED.',
  }),
  backpressureBytes: option({
    key: 'edge.backpressure',
    type: size(64 * KiB, GiB),
    default: 4 * MiB,
    doc: 'Bytes that the server buffers for one slow consumer. Beyond them it closes the session, and the client resumes.',
  }),
  userBufferedBytes: option({
    key: 'edge.userBuffered',
    type: orOff(size(MiB, 64 * GiB)),
    default: 64 * MiB,
    doc: 'Bytes that the server buffers for all sessions of one user. Beyond them it closes the slowest of these sessions.',
  }),
  closingBytes: option({
    key: 'edge.closingFrame',
    type: size(64 * KiB, 64 * MiB),
    default: 128 * KiB,
    doc: "Frame size beyond which the server closes the socket with 1009. Smaller frames over the protocol's limit are refused, and the socket stays open.",
  }),
  transportBytes: option({
    key: 'edge.transportFrame',
    type: size(64 * KiB, 256 * MiB),
    default: 256 * KiB,
    doc: 'Bytes that the transport reads of one frame. Beyond them it drops the connection without a close code. Each connection may hold an unfinished frame of this size, so it also bounds their memory.',
  }),
  helloMs: option({
    key: 'edge.hello',
    type: duration(100, 5 * minutes),
    default: Limits.helloMs as number,
    doc: 'Time from the connection to the first frame. Then the server closes the socket with 4002.',
  }),
  heartbeatMs: option({
    key: 'edge.heartbeat',
    type: duration(seconds, 10 * minutes),
    default: 25 * seconds,
    doc: 'Time without a frame or pong after which the server pings. It closes a socket that stays silent.',
  }),
  drainMs: option({
    key: 'edge.drain',
    type: duration(0, minutes),
    default: 2 * seconds,
    doc: 'Time within which a stopping edge node moves its clients to other nodes. Clients disconnect by themselves in the first half. Part of `drain`.',
  }),
} as const

/** Answers that depend on the live feed and on views. */
export const consistencyOptions = {
  stalenessMs: option({
    key: 'edge.staleness',
    type: duration(seconds, 10 * minutes),
    default: 10 * seconds,
    doc: 'Time that the live feed may be without proof of being complete. Then an edge node refuses exact answers, and a commands node is not ready.',
  }),
  viewWaitMs: option({
    key: 'edge.viewWait',
    type: duration(0, minutes),
    default: 250,
    doc: 'Time that a query waits for a view to reach what the live feed delivered.',
  }),
  seenWaitMs: option({
    key: 'edge.seenWait',
    type: duration(0, minutes),
    default: 2 * seconds,
    doc: 'Time that an `inbox` request waits for the events that its client has `seen`.',
  }),
  seenWaits: option({
    key: 'edge.seenWaits',
    type: integer(1, 100_000),
    default: 128,
    unit: 'requests',
    doc: 'Requests of all users that wait for events they have `seen`; one more is answered at once, as `behind`.',
  }),
  userSeenWaits: option({
    key: 'edge.userSeenWaits',
    type: integer(1, 1_000),
    default: 8,
    unit: 'requests',
    doc: 'Requests of one user that wait for events they have `seen`; one more is answered at once, as `behind`.',
  }),
  rosterWaitMs: option({
    key: 'edge.rosterWait',
    type: duration(0, minutes),
    default: 5 * seconds,
    doc: 'Time that `hello` waits for the roster to catch up with the live feed.',
  }),
  undeliveredMs: option({
    key: 'edge.undelivered',
    type: duration(minutes, 365 * days),
    default: 30 * days,
    doc: 'Time that `undelivered` lists a message. Devices find older messages in the history.',
  }),
  lagEvents: option({
    key: 'edge.lagEvents',
    type: integer(0, 10_000_000),
    default: 20_000,
    unit: 'events',
    doc: 'Events that a reader takes from the log while the timeline lags; beyond them the answer is UNAVAILABLE.',
  }),
  membershipEvents: option({
    key: 'edge.membershipEvents',
    type: integer(1, 10_000_000),
    default: 100_000,
    unit: 'events',
    doc: 'Membership changes that the node remembers until the roster has applied them.',
  }),
} as const

/** Events that a client missed. */
export const catchUpOptions = {
  resumes: option({
    key: 'edge.resumes',
    type: integer(1, 10_000),
    default: 16,
    unit: 'reads',
    doc: 'Catch-up reads that run at the same time, of all sessions.',
  }),
  userResumes: option({
    key: 'edge.userResumes',
    type: integer(1, 10_000),
    default: 2,
    unit: 'reads',
    doc: 'Catch-up reads that run at the same time for the sessions of one user.',
  }),
  resumeConversations: option({
    key: 'edge.resumeConversations',
    type: integer(1, 10_000_000),
    default: 10_000,
    unit: 'conversations',
    doc: 'Conversations of one session that wait for their missed events; another `sync` is OVERLOADED.',
  }),
  resumeCacheBytes: option({
    key: 'edge.resumeCache',
    type: orOff(size(64 * KiB, 64 * GiB)),
    default: 64 * MiB,
    doc: 'Memory for missed events that other sessions may need too. Off: sessions share only reads under way.',
  }),
  resumeBuffer: option({
    key: 'edge.resumeBuffer',
    type: integer(1, 100_000),
    default: 256,
    unit: 'events',
    doc: 'Live events that wait while the node reads the missed events of their conversation.',
  }),
  slowMs: option({
    key: 'edge.slow',
    type: duration(100, 10 * minutes),
    default: 10 * seconds,
    doc: 'Time that a session may block its catch-up by not reading. Then the server closes it with 4008.',
  }),
} as const

/** Delivery to many sockets, and signals between clients. */
export const signalOptions = {
  topicFrom: option({
    key: 'edge.topicFrom',
    type: integer(1, 1_000_000),
    default: 32,
    unit: 'sockets',
    doc: 'Local sessions of a conversation from which on a topic of the transport publishes its events, not socket by socket.',
  }),
  receiptMembers: option({
    key: 'edge.receiptMembers',
    type: integer(0, 100_000),
    default: 100,
    unit: 'members',
    doc: 'Largest conversation whose members receive read receipts.',
  }),
  receiptEveryMs: option({
    key: 'edge.receiptEvery',
    type: duration(0, minutes),
    default: 250,
    doc: 'Time between two receipts of a conversation; one receipt holds all markers of that time. 0ms: a receipt for each marker.',
  }),
  typingMembers: option({
    key: 'edge.typingMembers',
    type: integer(0, 100_000),
    default: 100,
    unit: 'members',
    doc: 'Largest conversation whose members receive typing signals.',
  }),
  typingEveryMs: option({
    key: 'edge.typingEvery',
    type: duration(0, 10 * minutes),
    default: 5 * seconds,
    doc: 'Time between two typing signals of a user in a conversation.',
  }),
  typingSilenceMs: option({
    key: 'edge.typingSilence',
    type: duration(100, 10 * minutes),
    default: 10 * seconds,
    doc: 'Time without a typing request after which typing ends.',
  }),
  typists: option({
    key: 'edge.typists',
    type: integer(1, 10_000_000),
    default: 50_000,
    unit: 'pairs',
    doc: 'Pairs of user and conversation whose typing state the node keeps; it ignores further typing requests.',
  }),
  userTypists: option({
    key: 'edge.userTypists',
    type: integer(1, 10_000_000),
    default: 100,
    unit: 'pairs',
    doc: 'Conversations of `edge.typists` in which one user types at the same time; further typing requests are ignored.',
  }),
  callMembers: option({
    key: 'edge.callMembers',
    type: integer(0, 100_000),
    default: 100,
    unit: 'members',
    doc: 'Largest conversation that may hold calls.',
  }),
} as const

/** The bounds of one edge node. The answer to `hello` holds those that clients need. */
export const edgeLimitOptions = {
  ...connectionOptions,
  ...consistencyOptions,
  ...catchUpOptions,
  ...signalOptions,
  ...presenceOptions,
  ...rateOptions,
  ...quotaOptions,
} as const

export type EdgeLimits = ValuesOf<typeof edgeLimitOptions>

export const defaultEdgeLimits: EdgeLimits = defaultsOf(edgeLimitOptions)
