import { Limits } from '../../events/limits.ts'

/** The bounds of one edge node. Those that clients have to know go into the answer to `hello`. */
export const defaultEdgeLimits = {
  /** Requests of one socket that may be unanswered; one more is OVERLOADED. */
  inFlight: 512,
  /** Bytes that may wait for a slow socket; beyond them it is closed, so that what it missed comes by resume and never as a silent hole. */
  backpressureBytes: 4 * 1024 * 1024,
  /** Bytes of a frame beyond which the socket is closed with 1009; up to them a frame over the protocol's limit is refused, and the socket lives. */
  closingBytes: 1024 * 1024,
  /** Bytes that the transport reads of one frame; beyond them it drops the connection, with no close code. */
  transportBytes: 4 * 1024 * 1024,
  /** How long the live feed may go without knowing that it has everything before exact answers are refused, ms. */
  stalenessMs: 10_000,
  /** How long a query waits for a view to reach what the live feed had delivered, ms. */
  viewWaitMs: 250,
  /** How long an `inbox` waits for what its client says to have seen, ms. */
  seenWaitMs: 2_000,
  /** How long a message waits for a device of its receiver, ms; then devices find it in the history. */
  undeliveredMs: 30 * 24 * 3_600_000,
  /** How long `hello` waits for the roster to come within reach of the live feed, ms. */
  rosterWaitMs: 5_000,
  /** Time for the first frame, ms. */
  helloMs: Limits.helloMs as number,
  /** Time without a frame or pong after which the server pings, ms. A socket that stays silent is closed. */
  heartbeatMs: 25_000,
  /** Sessions whose missed events are being read at the same time. */
  resumes: 16,
  /** How long a session may take to make room for more of what it missed, ms; then it is closed with 4008, so that others get their turn. */
  slowMs: 10_000,
  /** Conversations that one session may be waiting to have filled before another `sync` of it is OVERLOADED. */
  resumeConversations: 10_000,
  /** Bytes of missed events that are kept for others who have missed the same. 0: only reads under way are shared. */
  resumeCacheBytes: 64 * 1024 * 1024,
  /** Live events that wait while a conversation's missed ones are read. */
  resumeBuffer: 256,
  /** Membership changes that are remembered, for as long as the roster has not got them. */
  membershipEvents: 100_000,
  /** Local sockets of a conversation from which on it is published by a topic, not socket by socket. */
  topicFrom: 32,
  /** Members up to which a conversation gets read receipts as signals. */
  receiptMembers: 100,
  /** How long moves of marks in a conversation are collected after it was told of one, ms; 0: each is told by itself. */
  receiptEveryMs: 250,
  /** Members up to which a conversation gets typing signals. */
  typingMembers: 100,
  /** How long others hear nothing more of a user's typing in a conversation, ms. */
  typingEveryMs: 5_000,
  /** Silence after which typing ends by itself, ms. */
  typingSilenceMs: 10_000,
  /** Users and conversations whose typing is kept; of more nothing is told. */
  typists: 50_000,
  /** How long nobody does anything at any of a user's devices before it is away, ms; 0: it never is. */
  awayMs: 5 * 60_000,
  /** How long after its last socket has gone a user is offline, ms. */
  offlineMs: 10_000,
  /** How often what has changed in presence is told: to the other nodes, and to who watches; together, ms. */
  presenceEveryMs: 1_000,
  /** How long a node's word that it lives counts, ms; after it its users are offline. */
  presenceLifeMs: 15_000,
  /** For how long it is known when a user was last here, ms. */
  lastSeenMs: 30 * 24 * 3_600_000,
  /** Users of whom that waits to be written; of more it is not known. */
  lastSeenWaiting: 100_000,
  /** Users whose presence is watched here; more are OVERLOADED. */
  presenceWatched: 200_000,
  /** Bytes of what other nodes say of their users; those beyond look offline here. */
  presenceBytes: 256 * 1024 * 1024,
  /** Members up to which those who are here are counted one by one; of more, as many are, and the rest is estimated. */
  presenceCounted: 1_000,
  /** Members up to which a conversation has calls. */
  callMembers: 100,
  /** Signals of calls a second of one user at this node; more are RATE_LIMITED. 0: any. */
  callSignals: 20,
  /** Requests a second of one socket, of one user and, what is written to it, of one conversation, at this node; more are RATE_LIMITED. 0: any. */
  socketRequests: 200,
  userRequests: 400,
  conversationRequests: 1_000,
  /** Bytes of them a second. 0: any. */
  socketBytes: 2 * 1024 * 1024,
  userBytes: 4 * 1024 * 1024,
  conversationBytes: 8 * 1024 * 1024,
  /** How long a rate's worth may come at once, ms. */
  burstMs: 20_000,
  /** Users without a socket, as many conversations, and as many users who call, whose rates are remembered. */
  meters: 100_000,
  /** Clients that may arrive a second, by `hello` or with an event stream, and as many at once; more are OVERLOADED, each with a time to come again. 0: any. */
  hellos: 5_000,
  /** Sockets of one user at this node. 0: any. */
  userSockets: 100,
  /** Sockets of one address at this node. High, since behind a proxy that is not trusted all have the same. 0: any. */
  addressSockets: 20_000,
  /** Proxies in front of this node that add to `X-Forwarded-For`. */
  trustProxy: 0,
  /** Bytes that may wait for all slow sockets together; from 90 % of it on, what can wait is OVERLOADED. */
  bufferedBytes: 1024 * 1024 * 1024,
  /** Events that a reader takes from the log because the timeline lags; beyond them it is UNAVAILABLE. */
  lagEvents: 20_000,
  /** Within what `drain` moves everyone: half of it for clients to go by themselves, ms. */
  drainMs: 2_000,
}

export type EdgeLimits = typeof defaultEdgeLimits
