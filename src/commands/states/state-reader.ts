import { LRUCache } from 'lru-cache'
import { markLogged } from '../../base/logged-errors.ts'
import type { Logger } from '../../base/logger.ts'
import { sleep } from '../../base/sleep.ts'
import {
  type AppData,
  type BanItem,
  ConfabError,
  type ConversationEvent,
  type ErrorCode,
  type HistoryFrom,
  type Kind,
  type LastSeenFor,
  LogDamagedError,
  type Posting,
  type ReceiptsFor,
  type Role,
  UnreadableEventError,
  type UserEvent,
} from '../../events/index.ts'
import { type BusLimits, defaultBusLimits } from '../bus/bus-limits.ts'
import { banList, banOf } from '../domain/bans.ts'
import { type ConversationState, companionOf, joinedAt } from '../domain/conversation-state.ts'
import { conversationType } from '../domain/conversation-type.ts'
import { type Invitation, invitationList } from '../domain/invitations.ts'
import { marksOf, type UserState, userType } from '../domain/user-state.ts'
import { type Epochs, oneEpoch, watchCuts } from '../ports/epochs.ts'
import type { EventLog, SnapshotStore } from '../ports/event-log.ts'
import type { LiveFeed } from '../ports/live-feed.ts'
import { AggregateCache, type CacheEntry } from './aggregate-cache.ts'

/** Read-only view of a conversation's current state. It changes with the state, so do not keep it. */
export interface ConversationView {
  readonly c: string
  readonly kind: Kind
  readonly title: string | undefined
  /** seq of the last event. */
  readonly head: number
  /** Position of the last event. */
  readonly stream: string
  readonly streamSeq: number
  /** Members in the conversation's own log, without the followers of a channel. */
  readonly memberCount: number
  readonly posting: Posting
  /** Seconds between two messages of one plain member. 0: slow mode is off. */
  readonly slowModeSeconds: number
  /** Data of the application. Undefined: none. */
  readonly data: AppData | undefined
  /** Whether nothing may be posted. */
  readonly archived: boolean
  /** Returns the bans that have not ended, sorted by user id. */
  bans(): readonly BanItem[]
  isBanned(user: string): boolean
  /** Returns the open invitations, sorted by user id. */
  invitations(): readonly ({ readonly user: string } & Invitation)[]
  /** Returns the open invitation of a user. Undefined: there is none. */
  invitationOf(user: string): Invitation | undefined
  /**
   * Returns the other member, if the user is alone with one other user. A channel that has had as many members as its
   * log holds may have followers, so no user is alone in it.
   */
  companionOf(user: string): string | undefined
  readonly historyFrom: HistoryFrom
  /** seq of the last event that edited or deleted a message; 0: none. */
  readonly amended: number
  /** The user that created the conversation, a member or not. Undefined: not known. */
  readonly creator: string | undefined
  /** seq of a member's latest joining; 1 for the first members. Undefined where `roleOf` is. */
  joinedAt(user: string): number | undefined
  /** Undefined for users who are not members, and for followers of a channel. */
  roleOf(user: string): Role | undefined
  members(): IterableIterator<string>
}

/** Read-only view of a user's current state. It changes with the state, so do not keep it. */
export interface UserView {
  readonly user: string
  readMark(c: string): number
  deliveredMark(c: string): number
  isMuted(c: string): boolean
  hasBlocked(user: string): boolean
  /** Returns the direct conversation with a user, if the log of this user records it: the smaller id's log does. */
  directWith(user: string): string | undefined
  /** The users who may see whether this user is online, and when the user last was. */
  readonly lastSeen: LastSeenFor
  /** Data of the profile. Undefined: none. */
  readonly data: AppData | undefined
  /** The users who may see the markers of this user. */
  readonly receipts: ReceiptsFor
  /** Whether the user follows a channel. The log of the channel does not name its followers. */
  follows(c: string): boolean
  /** seq of the last event of a followed channel when the user joined it. Undefined: the user does not follow it. */
  followsAfter(c: string): number | undefined
}

/** Reads the states of conversations and users, for authorisation and queries. Rejects with ConfabError. */
export interface StateReader {
  /**
   * Returns a conversation as the live feed last updated it; undefined when there is none. Returns a cached
   * conversation without a promise, so that a request does not wait for the event loop.
   */
  conversation(c: string): ConversationView | undefined | Promise<ConversationView | undefined>
  user(user: string): UserView | Promise<UserView>
  /**
   * Returns a conversation as of the log's last event. Use it before refusing a user: another node may just have
   * admitted them.
   */
  currentConversation(c: string): Promise<ConversationView | undefined>
  /** As `currentConversation`. */
  currentUser(user: string): Promise<UserView>
  /** Whether the state of a user is cached, so that it has to receive all events of the user to stay fresh. */
  holdsUser(user: string): boolean
}

/** The states of a process whose commands are decided by commands nodes. */
export interface FollowingStates extends StateReader {
  /**
   * Notes that the log holds event `seq` of a conversation. Reads from now on include it, also when the live feed is
   * behind.
   */
  appended(c: string, seq: number): void
}

export interface StateOptions {
  readonly log: EventLog
  readonly snapshots: SnapshotStore
  /**
   * Keeps the cached states fresh. The states listen from the start: create them before other listeners that read
   * them.
   */
  readonly feed: LiveFeed
  /** Drops states with lost events when the home of a stream changes. Default: homes never change. */
  readonly epochs?: Epochs
  readonly limits?: Partial<
    Pick<BusLimits, 'conversationBytes' | 'userBytes' | 'snapshotEvery' | 'channelMembers'>
  >
  /**
   * Receives the causes of internal errors, and the positions of events that cannot be decoded. Default: not logged.
   */
  readonly logger?: Pick<Logger, 'error'> | undefined
  /**
   * Returns the highest seq of a conversation that the timeline has seen; 0 when it has none. A conversation whose log
   * ends earlier has lost events, and is not loaded. Default: the end of a log is not checked.
   */
  readonly viewHead?: (c: string) => Promise<number>
}

/** The cached states of both families. */
export interface StateCaches {
  readonly conversations: AggregateCache<ConversationState, ConversationEvent>
  readonly users: AggregateCache<UserState, UserEvent>
}

/** The states of a process that decides commands. The command bus uses the caches, other components the reader. */
export interface DecidingStates extends StateReader {
  readonly caches: StateCaches
  readonly failures: FailureLog
}

/**
 * Creates the states of a process that decides commands. They listen to the feed at once: create them before other
 * listeners.
 */
export const createStates = (options: StateOptions): DecidingStates => {
  const caches = createStateCaches(options)
  const failures = new FailureLog(options.logger)
  return { ...readerOf(caches, failures, options.limits), caches, failures }
}

export interface FollowingStateOptions extends StateOptions {
  /** Whether the log of this process is a copy that may be behind the acks of commands. Default: no. */
  readonly isCopy?: boolean
}

/** Creates the states of a process that decides nothing. It reads snapshots and does not write them. */
export const createFollowingStates = (options: FollowingStateOptions): FollowingStates => {
  const { snapshots } = options
  const caches = createStateCaches({
    ...options,
    snapshots: { load: aggregate => snapshots.load(aggregate), save: async () => {} },
  })
  const failures = new FailureLog(options.logger)
  if (options.isCopy !== true)
    return {
      ...readerOf(caches, failures, options.limits),
      appended: (c, seq) => caches.conversations.knows(c, seq),
    }
  const acked = new AckedEvents(caches.conversations)
  return {
    ...readerOf(caches, failures, options.limits, c => acked.current(c)),
    appended: (c, seq) => acked.add(c, seq),
  }
}

/** Conversations with recent acks, and the time for which an ack counts, ms: a copy is seldom further behind. */
const recentAcks = { max: 10_000, ttl: 10_000 }
/** Longest wait of a read for an event that the copy lacks, and the time between two looks, ms. */
const copyWaitMs = 500
const copyPollMs = 5

/** Events that the home has acknowledged to this process, and that its own copy of the log may not have yet. */
class AckedEvents {
  readonly #conversations: StateCaches['conversations']
  readonly #acked = new LRUCache<string, number>(recentAcks)

  constructor(conversations: StateCaches['conversations']) {
    this.#conversations = conversations
  }

  add(c: string, seq: number): void {
    if (seq > (this.#acked.peek(c) ?? 0)) this.#acked.set(c, seq)
    this.#conversations.knows(c, seq)
  }

  /**
   * Returns a conversation as of the copy's last event and of the acks, for which it waits a short time. A copy that is
   * cut off from the home stays readable. Throws ConfabError UNAVAILABLE for a conversation that it does not have yet.
   */
  async current(c: string): Promise<CacheEntry<ConversationState, ConversationEvent>> {
    let entry = await this.#conversations.current(c)
    const seq = this.#acked.get(c) ?? 0
    this.#conversations.knows(c, seq)
    for (let waitedMs = 0; entry.state.seq < seq && waitedMs < copyWaitMs; waitedMs += copyPollMs) {
      await sleep(copyPollMs)
      entry = this.#conversations.cached(c) ?? (await this.#conversations.load(c))
    }
    if (entry.state.seq === 0 && seq > 0) throw new ConfabError('UNAVAILABLE')
    return entry
  }
}

const createStateCaches = ({
  log,
  snapshots,
  feed,
  epochs = oneEpoch,
  limits,
  viewHead,
}: StateOptions): StateCaches => {
  const { conversationBytes, userBytes, snapshotEvery } = { ...defaultBusLimits, ...limits }
  const shared = { log, snapshots, snapshotEvery }
  const conversations = new AggregateCache<ConversationState, ConversationEvent>({
    ...shared,
    type: conversationType,
    maxBytes: conversationBytes,
    viewHead,
  })
  const users = new AggregateCache<UserState, UserEvent>({ ...shared, type: userType, maxBytes: userBytes })
  watchCuts(epochs, (stream, streamSeq) => {
    conversations.cutOff(stream, streamSeq)
    users.cutOff(stream, streamSeq)
  })
  feed.listen(
    stored => {
      if (stored.aggregate.family === 'conv') conversations.feed(stored)
      else users.feed(stored)
    },
    ({ family, id }, seq) => {
      if (family === 'conv') conversations.knows(id, seq)
      else users.knows(id, seq)
    },
  )
  return { conversations, users }
}

/** Reads cached states. A state that is behind a known event is brought up to date first. */
const readerOf = (
  { conversations, users }: StateCaches,
  failures: FailureLog,
  { channelMembers = defaultBusLimits.channelMembers }: StateOptions['limits'] = {},
  current = (c: string) => conversations.current(c),
): StateReader => {
  const viewOf = (state: ConversationState) => viewOfConversation(state, channelMembers)
  const rejectCoded = (error: unknown): never => {
    failures.report(error, {})
    throw ConfabError.from(error)
  }
  const currentConversation = (c: string) => current(c).then(({ state }) => viewOf(state), rejectCoded)
  return {
    conversation: c => {
      const entry = conversations.cached(c)
      if (entry !== undefined && entry.state.seq >= entry.knownSeq) return viewOf(entry.state)
      return currentConversation(c)
    },
    user: user => {
      const entry = users.cached(user)
      if (entry !== undefined && entry.state.seq >= entry.knownSeq) return viewOfUser(entry.state)
      return users.current(user).then(({ state }) => viewOfUser(state), rejectCoded)
    },
    currentConversation,
    currentUser: user => users.current(user).then(({ state }) => viewOfUser(state), rejectCoded),
    holdsUser: user => users.has(user),
  }
}

/** Codes of errors whose causes are logged: clients receive the code alone. */
const loggedCodes: ReadonlySet<ErrorCode> = new Set(['INTERNAL', 'UNREADABLE_EVENT', 'LOG_DAMAGED'])
/**
 * An event that cannot be decoded, and an aggregate that lacks events, are logged once in this time, ms, however many
 * commands meet them.
 */
const repeatLogMs = 60_000

/** Logs why commands and reads fail with INTERNAL, UNREADABLE_EVENT or LOG_DAMAGED. */
export class FailureLog {
  readonly #logger: Pick<Logger, 'error'> | undefined
  readonly #recent = new LRUCache<string, true>({ max: 1000, ttl: repeatLogMs })

  constructor(logger: Pick<Logger, 'error'> | undefined) {
    this.#logger = logger
  }

  /**
   * Logs the cause of an error, once for each error object. Other codes are part of normal operation and are not
   * logged.
   */
  report(error: unknown, fields: object): void {
    const isCoded = ConfabError.is(error)
    if (this.#logger === undefined || (isCoded && !loggedCodes.has(error.code))) return
    const cause = isCoded ? (error.cause ?? error) : error
    if (!markLogged(cause)) return
    if (LogDamagedError.is(cause)) {
      const { aggregate, seq } = cause
      if (this.#isRepeated(`${aggregate.family} ${aggregate.id}`)) return
      this.#logger.error({ ...aggregate, seq, err: cause }, 'the log has lost events')
    } else if (UnreadableEventError.is(cause)) {
      const { code, stream, streamSeq, type, version } = cause
      if (this.#isRepeated(`${stream} ${streamSeq}`)) return
      this.#logger.error(
        { stream, streamSeq, type, version, reason: code, err: cause },
        'event cannot be read',
      )
    } else this.#logger.error({ ...fields, err: cause }, 'command failed')
  }

  #isRepeated(key: string): boolean {
    if (this.#recent.has(key)) return true
    this.#recent.set(key, true)
    return false
  }
}

const conversationViews = new WeakMap<ConversationState, ConversationView>()
const userViews = new WeakMap<UserState, UserView>()

/** Returns the view of a state; undefined when the conversation does not exist. */
const viewOfConversation = (
  state: ConversationState,
  channelMembers: number,
): ConversationView | undefined => {
  if (state.seq === 0) return undefined
  let view = conversationViews.get(state)
  if (view === undefined) {
    view = conversationView(state, channelMembers)
    conversationViews.set(state, view)
  }
  return view
}

const conversationView = (state: ConversationState, channelMembers: number): ConversationView => ({
  c: state.c,
  get kind() {
    return state.kind
  },
  get title() {
    return state.title
  },
  get head() {
    return state.seq
  },
  get stream() {
    return state.stream
  },
  get streamSeq() {
    return state.streamSeq
  },
  get memberCount() {
    return state.members.size
  },
  get posting() {
    return state.posting
  },
  get slowModeSeconds() {
    return state.slowMode?.seconds ?? 0
  },
  get data() {
    return state.data
  },
  get archived() {
    return state.archived
  },
  bans: () => banList(state.bans, new Date().toISOString()),
  isBanned: user => state.bans.has(user) && banOf(state.bans, user, new Date().toISOString()) !== undefined,
  invitations: () => invitationList(state),
  invitationOf: user => state.invitations.get(user),
  companionOf: user => companionOf(state, user, channelMembers),
  get historyFrom() {
    return state.historyFrom
  },
  get amended() {
    return state.amended
  },
  get creator() {
    return state.creator
  },
  joinedAt: user => joinedAt(state, user),
  roleOf: user => state.members.get(user),
  members: () => state.members.keys(),
})

const viewOfUser = (state: UserState): UserView => {
  let view = userViews.get(state)
  if (view === undefined) {
    view = {
      user: state.user,
      readMark: c => marksOf(state, c).read,
      deliveredMark: c => marksOf(state, c).delivered,
      isMuted: c => state.muted.has(c),
      hasBlocked: user => state.blocked.has(user),
      directWith: user => state.directs.get(user),
      get lastSeen() {
        return state.lastSeen
      },
      get data() {
        return state.data
      },
      get receipts() {
        return state.receipts
      },
      follows: c => state.follows.has(c),
      followsAfter: c => state.follows.get(c),
    }
    userViews.set(state, view)
  }
  return view
}
