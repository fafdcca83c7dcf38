import { Limits } from '../../events/limits.ts'

/**
 * Default limits of one edge node. Names that end in `Ms` are milliseconds, names that end in `Bytes` are bytes.
 * The answer to `hello` carries the limits that clients must respect.
 */
export const defaultEdgeLimits = {
  /** Unanswered requests of one session. The session's next request fails with OVERLOADED. */
  inFlight: 512,
  /**
   * Unanswered requests of all sessions of one user on this node. The next request fails with OVERLOADED. 0: no limit.
   */
  userInFlight: 2_048,
  /** Bytes buffered for one slow consumer. Beyond them its session is closed, and the client resumes. */
  backpressureBytes: 4 * 1024 * 1024,
  /**
   * Bytes buffered for all sessions of one user on this node. Beyond them the slowest of these sessions are closed. 0:
   * no limit.
   */
  userBufferedBytes: 64 * 1024 * 1024,
  /**
   * Bytes of one frame beyond which the session is closed with 1009. Frames over the protocol's limit are only refused.
   */
  closingBytes: 1024 * 1024,
  /** Bytes of one frame that the transport reads. Beyond them it drops the connection without a close code. */
  transportBytes: 4 * 1024 * 1024,
  /** Time that the live feed may lag before requests that need exact membership fail with UNAVAILABLE, ms. */
  stalenessMs: 10_000,
  /** Time that a query waits for a view to reach the position of the live feed, ms. */
  viewWaitMs: 250,
  /** Time that `inbox` waits for the sequence numbers in `seen`, ms. */
  seenWaitMs: 2_000,
  /** Time that `undelivered` lists a message, ms. After it devices read the message from the history. */
  undeliveredMs: 30 * 24 * 3_600_000,
  /** Time that `hello` waits for the roster view to catch up with the live feed, ms. */
  rosterWaitMs: 5_000,
  /** Time from the connection to the first `hello`, ms. */
  helloMs: Limits.helloMs as number,
  /**
   * Time without a frame or pong after which the server sends a ping, ms. The server closes a session that stays
   * silent.
   */
  heartbeatMs: 25_000,
  /** Catch-up reads that run at the same time, for all sessions. */
  resumes: 16,
  /** Time that a session may block a catch-up by not reading, ms. After it the session is closed with 4008. */
  slowMs: 10_000,
  /** Conversations of one session that may wait for catch-up. Beyond them `sync` fails with OVERLOADED. */
  resumeConversations: 10_000,
  /** Bytes of catch-up reads that are cached for other sessions. 0: only concurrent reads are shared. */
  resumeCacheBytes: 64 * 1024 * 1024,
  /** Live events of one conversation that are kept while its catch-up read runs. */
  resumeBuffer: 256,
  /** Membership changes that are kept until the roster view contains them. */
  membershipEvents: 100_000,
  /** Local sessions of one conversation from which on a uWebSockets.js topic publishes its events. */
  topicFrom: 32,
  /** Members of the largest conversation whose members receive receipt signals. */
  receiptMembers: 100,
  /** Interval at which receipts of one conversation are sent together, ms. 0: each one is sent at once. */
  receiptEveryMs: 250,
  /** Members of the largest conversation whose members receive typing signals. */
  typingMembers: 100,
  /** Interval at which the typing signal of one user in one conversation is repeated at most, ms. */
  typingEveryMs: 5_000,
  /** Time without a typing request after which typing ends, ms. */
  typingSilenceMs: 10_000,
  /** Pairs of user and conversation whose typing state is kept. Further typing requests are ignored. */
  typists: 50_000,
  /** Time without activity on all devices after which a user is away, ms. 0: users are never away. */
  awayMs: 5 * 60_000,
  /** Time from a user's last disconnect to the state offline, ms. */
  offlineMs: 10_000,
  /** Interval at which presence changes are sent to other nodes and to watchers, ms. */
  presenceEveryMs: 1_000,
  /** Time that the presence record of a node is valid, ms. After it the users of the node are offline. */
  presenceLifeMs: 15_000,
  /** Time that last-seen times are kept, ms. */
  lastSeenMs: 30 * 24 * 3_600_000,
  /** Last-seen times that wait to be written. Further ones are dropped. */
  lastSeenWaiting: 100_000,
  /** Users that the sessions of this node watch. Beyond them `presence` fails with OVERLOADED. */
  presenceWatched: 200_000,
  /** Bytes of presence records of other nodes. Users in further records look offline on this node. */
  presenceBytes: 256 * 1024 * 1024,
  /**
   * Members that are counted one by one for `presence` of a conversation. In larger conversations the rest is
   * estimated.
   */
  presenceCounted: 1_000,
  /** Members of the largest conversation that allows calls. */
  callMembers: 100,
  /** Call signals of one user per second. Further ones fail with RATE_LIMITED. 0: no limit. */
  callSignals: 20,
  /**
   * Requests of one session per second. Further ones fail with RATE_LIMITED, as for the limits that follow. 0: no
   * limit.
   */
  socketRequests: 200,
  /** Requests of one user per second on this node. 0: no limit. */
  userRequests: 400,
  /** Requests that write to one conversation per second on this node. 0: no limit. */
  conversationRequests: 1_000,
  /** Request bytes of one session per second. 0: no limit. */
  socketBytes: 2 * 1024 * 1024,
  /** Request bytes of one user per second on this node. 0: no limit. */
  userBytes: 4 * 1024 * 1024,
  /** Request bytes that write to one conversation per second on this node. 0: no limit. */
  conversationBytes: 8 * 1024 * 1024,
  /** Length of a burst, ms: a rate of n per second allows `n × burstMs / 1000` at once. */
  burstMs: 20_000,
  /**
   * Users without a session, conversations, and users with calls whose rates are kept; one cache of this size for each.
   */
  meters: 100_000,
  /**
   * Sessions that may open per second, by `hello` or as an event stream. Further ones fail with OVERLOADED. 0: no
   * limit.
   */
  hellos: 5_000,
  /** Sessions of one user on this node. 0: no limit. */
  userSockets: 100,
  /**
   * Connections of one client address on this node: WebSockets, event streams and gRPC calls together. 0: no limit.
   * The default is high because all clients behind a proxy that is not trusted share its address.
   */
  addressSockets: 20_000,
  /** Proxies in front of this node that append to `X-Forwarded-For`. */
  trustProxy: 0,
  /** Bytes buffered for all slow consumers. From 90 % on, requests that can wait fail with OVERLOADED. */
  bufferedBytes: 1024 * 1024 * 1024,
  /**
   * Events that a reader takes from the log when the timeline view lags. Beyond them the read fails with UNAVAILABLE.
   */
  lagEvents: 20_000,
  /** Time within which a drain moves all sessions, ms. In the first half clients leave by themselves. */
  drainMs: 2_000,
}

export type EdgeLimits = typeof defaultEdgeLimits
