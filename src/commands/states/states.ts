import { ConfabError, type ConversationEvent, type UserEvent } from '../../events/index.ts'
import { type BusLimits, defaultBusLimits } from '../bus/bus-limits.ts'
import { type ConversationState, conversationType } from '../domain/conversation-state.ts'
import { type UserState, userType } from '../domain/user-state.ts'
import type { EventLog, SnapshotStore } from '../ports/event-log.ts'
import type { LiveFeed } from '../ports/live-feed.ts'
import { AggregateCache } from './aggregate-cache.ts'
import { type ConversationView, type UserView, viewOfConversation, viewOfUser } from './aggregate-views.ts'

/** The states of conversations and users, for whoever has to authorise or to serve. Rejects with ConfabError. */
export interface StateReader {
  /**
   * The state of a conversation, kept fresh by the live feed; undefined when there is none. Answers at once, not by a promise, when it is cached: a socket's
   * request should not wait for a turn of the loop.
   */
  conversation(c: string): ConversationView | undefined | Promise<ConversationView | undefined>
  user(user: string): UserView | Promise<UserView>
  /** Whether the state of a user is cached, so that it has to receive all events of the user to stay fresh. */
  holdsUser(user: string): boolean
  /** The state as the log has it now, whatever the feed has brought: ask for it before someone is turned away who another node may just have let in. */
  currentConversation(c: string): Promise<ConversationView | undefined>
  /** As `currentConversation`. */
  currentUser(user: string): Promise<UserView>
}

/** Of commands that are decided elsewhere: the states, and a place to tell what has come of a command. */
export interface FollowingStates extends StateReader {
  /** The log holds event `seq` of a conversation: what is read of it from now on holds it too, though the feed may not have brought it. */
  appended(c: string, seq: number): void
}

export interface StateOptions {
  readonly log: EventLog
  readonly snapshots: SnapshotStore
  /** Keeps the cached states fresh. They listen from the start: make them before whoever reads them while the feed is delivered. */
  readonly feed: LiveFeed
  readonly limits?: Partial<Pick<BusLimits, 'conversationBytes' | 'userBytes' | 'snapshotEvery'>>
}

/** The cached states of both families, kept fresh by the feed. */
export interface StateCaches {
  readonly conversations: AggregateCache<ConversationState, ConversationEvent>
  readonly users: AggregateCache<UserState, UserEvent>
}

/** The states of a process that decides commands: the bus decides on the caches, everything else reads. */
export interface DecidingStates extends StateReader {
  readonly caches: StateCaches
}

/** Creates the states of a process that decides commands. They listen to the feed at once: create them before other listeners. */
export const createStates = (options: StateOptions): DecidingStates => {
  const caches = createStateCaches(options)
  return { ...readerOf(caches), caches }
}

const createStateCaches = ({ log, snapshots, feed, limits }: StateOptions): StateCaches => {
  const { conversationBytes, userBytes, snapshotEvery } = { ...defaultBusLimits, ...limits }
  const shared = { log, snapshots, snapshotEvery }
  const conversations = new AggregateCache<ConversationState, ConversationEvent>({
    ...shared,
    type: conversationType,
    maxBytes: conversationBytes,
  })
  const users = new AggregateCache<UserState, UserEvent>({ ...shared, type: userType, maxBytes: userBytes })
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

/** Reads of cached states. One that lacks what is known to be in the log is brought up to date first. */
const readerOf = ({ conversations, users }: StateCaches): StateReader => ({
  conversation: c => {
    const entry = conversations.cached(c)
    if (entry !== undefined && entry.state.seq >= entry.knownSeq) return viewOfConversation(entry.state)
    return conversations.current(c).then(({ state }) => viewOfConversation(state), unreadable)
  },
  user: user => {
    const entry = users.cached(user)
    if (entry !== undefined && entry.state.seq >= entry.knownSeq) return viewOfUser(entry.state)
    return users.current(user).then(({ state }) => viewOfUser(state), unreadable)
  },
  holdsUser: user => users.has(user),
  currentConversation: c =>
    conversations.current(c).then(({ state }) => viewOfConversation(state), unreadable),
  currentUser: user => users.current(user).then(({ state }) => viewOfUser(state), unreadable),
})

/** The states of a process that decides nothing itself. Snapshots are read, and written by who decides. */
export const createFollowingStates = (options: StateOptions): FollowingStates => {
  const { snapshots } = options
  const caches = createStateCaches({
    ...options,
    snapshots: { load: aggregate => snapshots.load(aggregate), save: async () => {} },
  })
  return { ...readerOf(caches), appended: (c, seq) => caches.conversations.knows(c, seq) }
}

const unreadable = (error: unknown): never => {
  throw ConfabError.is(error) ? error : new ConfabError('INTERNAL', undefined, { cause: error })
}
