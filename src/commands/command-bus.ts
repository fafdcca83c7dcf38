import {
  type AnswerOf,
  ConfabError,
  type ConversationEvent,
  type ConversationRequest,
  type Kind,
  type Role,
  type UserEvent,
  type UserRequest,
} from '../events/index.ts'
import { AggregateCache } from './aggregate-cache.ts'
import { viewOfConversation, viewOfUser } from './aggregate-views.ts'
import { type BusLimits, defaultBusLimits } from './bus-limits.ts'
import { commandIdOf } from './command-ids.ts'
import { newJob } from './command-job.ts'
import { CommandLanes } from './command-lanes.ts'
import { type ConversationJobCommand, conversationHandler } from './conversation-handler.ts'
import { type ConversationState, conversationType } from './conversation-state.ts'
import type { EventLog, SnapshotStore } from './event-log.ts'
import type { LiveFeed } from './live-feed.ts'
import type { MessageLookup } from './message-lookup.ts'
import { OpenCommands } from './open-commands.ts'
import { userHandler } from './user-handler.ts'
import { type UserState, userType } from './user-state.ts'

/** Who asks, and when. The bus takes no time and no identity from anywhere else. */
export interface CommandContext {
  /** User id, authenticated. */
  readonly from: string
  /** ISO time that the event will carry. */
  readonly at: string
  /** W3C trace context. */
  readonly traceparent?: string
}

/** A conversation as it stands, for whoever has to authorise or to serve. Do not keep it: it goes on changing. */
export interface ConversationView {
  readonly c: string
  readonly kind: Kind
  readonly title: string | undefined
  /** seq of its last event. */
  readonly head: number
  /** Stream and stream sequence of its last event. */
  readonly stream: string
  readonly streamSeq: number
  readonly memberCount: number
  roleOf(user: string): Role | undefined
  members(): IterableIterator<string>
}

/** The marks, mutes and blocks of a user. Do not keep it. */
export interface UserView {
  readonly user: string
  readMark(c: string): number
  deliveredMark(c: string): number
  isMuted(c: string): boolean
  hasBlocked(user: string): boolean
}

/**
 * Decides commands and appends what comes of them. One command at a time in a conversation on this node, all conversations side by side; other nodes may
 * decide for the same conversation, the log's expectation is the fence.
 */
export interface CommandBus {
  /**
   * Resolves when the event is in the log (or was already, or nothing had to change). Rejects with ConfabError only. The request has to match its schema.
   * Imports go the same way, with the users and times of what they import.
   */
  execute<R extends ConversationRequest | UserRequest>(
    request: R,
    context: CommandContext,
  ): Promise<AnswerOf[R['t']]>
  /**
   * The state of a conversation, kept fresh by the live feed; undefined when there is none. Answers at once, not by a promise, when it is cached: a socket's
   * request should not wait for a turn of the loop.
   */
  conversation(c: string): ConversationView | undefined | Promise<ConversationView | undefined>
  user(user: string): UserView | Promise<UserView>
  /** The state as the log has it now, whatever the feed has brought: ask for it before someone is turned away who another node may just have let in. */
  currentConversation(c: string): Promise<ConversationView | undefined>
  /** Resolves when no command is under way. */
  drain(): Promise<void>
}

export interface CommandBusOptions {
  readonly log: EventLog
  readonly snapshots: SnapshotStore
  readonly lookup: MessageLookup
  /** Keeps the cached states fresh. The bus listens from the start: make it before whoever reads its states while the feed is delivered. */
  readonly feed: LiveFeed
  /** What the events' envelopes say; 1 until a region is promoted. */
  readonly epoch: number
  readonly limits?: Partial<BusLimits>
}

export const createCommandBus = ({
  log,
  snapshots,
  lookup,
  feed,
  epoch,
  limits: given,
}: CommandBusOptions): CommandBus => {
  const limits: BusLimits = { ...defaultBusLimits, ...given }
  const { snapshotEvery, conversationBytes, userBytes } = limits
  const conversations = new AggregateCache<ConversationState, ConversationEvent>({
    type: conversationType,
    log,
    snapshots,
    maxBytes: conversationBytes,
    snapshotEvery,
  })
  const users = new AggregateCache<UserState, UserEvent>({
    type: userType,
    log,
    snapshots,
    maxBytes: userBytes,
    snapshotEvery,
  })
  feed.listen(stored => {
    if (stored.aggregate.family === 'conv') conversations.feed(stored)
    else users.feed(stored)
  })
  const open = new OpenCommands()
  const shared = { log, epoch, open, limits }
  const conversationLanes = new CommandLanes({
    ...shared,
    cache: conversations,
    handler: conversationHandler(conversations, users, lookup),
  })
  const userLanes = new CommandLanes({ ...shared, cache: users, handler: userHandler(users, conversations) })

  const push = (
    request: ConversationRequest | UserRequest,
    { from, at, traceparent }: CommandContext,
    resolve: (answer: object) => void,
    reject: (error: Error) => void,
  ): void => {
    if (open.count >= limits.open) throw new ConfabError('OVERLOADED')
    const id = commandIdOf(request, from)
    if (isUserRequest(request)) {
      const command = { request, from, at, id }
      userLanes.push(from, newJob(command, traceparent, resolve, reject))
    } else {
      const command: ConversationJobCommand = { request, from, at, id, blocked: undefined, found: undefined }
      conversationLanes.push(request.c, newJob(command, traceparent, resolve, reject))
    }
  }

  return {
    execute: <R extends ConversationRequest | UserRequest>(request: R, context: CommandContext) =>
      new Promise<AnswerOf[R['t']]>((resolve, reject) => {
        push(request, context, resolve as (answer: object) => void, reject)
      }),
    conversation: c => {
      const entry = conversations.cached(c)
      if (entry !== undefined) return viewOfConversation(entry.state)
      return conversations.load(c).then(({ state }) => viewOfConversation(state), unreadable)
    },
    user: user => {
      const entry = users.cached(user)
      if (entry !== undefined) return viewOfUser(entry.state)
      return users.load(user).then(({ state }) => viewOfUser(state), unreadable)
    },
    currentConversation: c =>
      conversations.current(c).then(({ state }) => viewOfConversation(state), unreadable),
    drain: () => open.none(),
  }
}

const isUserRequest = (request: ConversationRequest | UserRequest): request is UserRequest =>
  request.t === 'read' || request.t === 'delivered' || request.t === 'mute' || request.t === 'block'

const unreadable = (error: unknown): never => {
  throw ConfabError.is(error) ? error : new ConfabError('INTERNAL', undefined, { cause: error })
}
