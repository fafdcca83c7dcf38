/** The bounds of the protocol, version 1. Part of the contract with clients: docs/protocol.md lists them. */
export const Limits = {
  /** Characters in a conversation, user, message, device or command id. */
  idChars: 64,
  /** UTF-8 bytes in the text of a message. */
  textBytes: 16 * 1024,
  /** Bytes in one frame, either direction of the socket. */
  frameBytes: 64 * 1024,
  /** Characters in a conversation's title. */
  titleChars: 200,
  /** Characters in a reaction. */
  emojiChars: 32,
  /** Seconds that slow mode may keep messages of a member apart: 6 hours. */
  slowModeSeconds: 21_600,
  /** Members that `create` may name. */
  createMembers: 1000,
  /** Attachments of one message. */
  attachments: 10,
  /** Conversations that one `resume` or `sync` may name. */
  cursors: 1000,
  /** Missed events that a resume fills in a conversation; beyond it the client is told to refetch. */
  resumeEvents: 1000,
  /** Conversations that one `inbox` may say to have `seen`. */
  seen: 100,
  /** Events in one page of `history`. */
  historyPage: 200,
  /** Items in one page of `inbox`. */
  inboxPage: 200,
  /** Messages in one page of `undelivered`. */
  undeliveredPage: 200,
  /** Members in one page of `members`. */
  membersPage: 200,
  /** Hits in one page of `search`. */
  searchPage: 100,
  /** Characters in a search query. */
  queryChars: 256,
  /** Users that one `presence` may watch. */
  presenceUsers: 200,
  /** Users of whom one `presence` may ask when they were last here. */
  lastSeenUsers: 50,
  /** UTF-8 bytes in the `data` of a `call`: an SDP, or a candidate. */
  callBytes: 16 * 1024,
  /** Undecodable frames before a socket is closed with 1008. */
  badFrames: 10,
  /** Time for the first frame, ms. */
  helloMs: 10_000,
} as const
