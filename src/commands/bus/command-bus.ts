import { v7 } from 'uuid'
import {
  type AggregateRef,
  type AnswerOf,
  ConfabError,
  type ConversationEvent,
  type ConversationRequest,
  Family,
  type UserEvent,
  type UserRequest,
} from '../../events/index.ts'
import type { Handover } from '../domain/aggregate.ts'
import { banOf } from '../domain/bans.ts'
import type { ConversationState } from '../domain/conversation-state.ts'
import type { UserState } from '../domain/user-state.ts'
import { type Epochs, oneEpoch } from '../ports/epochs.ts'
import type { EventLog } from '../ports/event-log.ts'
import type { MessageLookup } from '../ports/message-lookup.ts'
import type { SharedConversations } from '../ports/shared-conversations.ts'
import type { DecidingStates } from '../states/state-reader.ts'
import { type BusLimits, defaultBusLimits } from './bus-limits.ts'
import { atHome, type Command, CommandsInFlight, queuedCommand, whileOwned } from './command-handler.ts'
import { CommandQueues } from './command-queue.ts'
import { conversationHandler, type MutableConversationCommand } from './conversation-handler.ts'
import { claimDirect, DirectConversations } from './direct-conversations.ts'
import { type MutableUserCommand, userHandler } from './user-handler.ts'

/** The sender and the time of a command. The bus takes neither from anywhere else. */
export interface CommandContext {
  /** Authenticated user id. */
  readonly from: string
  /** ISO 8601 time of the event. The event gets the time of the event before it when that is later. */
  readonly at: string
  /** The time is of an event in another system: the event keeps it, and slow mode does not delay it. */
  readonly isImported?: true
  /** W3C trace context. */
  readonly traceparent?: string
  /** Command id, for a command that may be executed again. Default: derived from the request. */
  readonly id?: string
  /**
   * Called before each decision; false fails the command as UNAVAILABLE. For callers that may have sent the command to
   * another bus before this one has answered.
   */
  readonly isWanted?: () => boolean
}

type IdentifiedContext = CommandContext & { readonly id: string }

let second = 0
let prefix = ''

/** Returns the current time as events carry it. The part up to the second is formatted once per second. */
const now = (): string => {
  const ms = Date.now()
  const current = Math.floor(ms / 1000)
  if (current !== second) {
    second = current
    prefix = new Date(ms).toISOString().slice(0, 20)
  }
  return `${prefix}${String(ms % 1000).padStart(3, '0')}Z`
}

/** Returns the context of a command that a user sends now. */
export const commandContext = (from: string, traceparent?: string): CommandContext =>
  traceparent === undefined ? { from, at: now() } : { from, at: now(), traceparent }

/**
 * Returns the context of a command that repeats an event of another system. A time in the future becomes the current
 * time: later events of the conversation would all have it.
 */
export const importContext = (from: string, at: string): CommandContext => {
  const latest = now()
  return { from, at: at < latest ? at : latest, isImported: true }
}

/**
 * Decides commands and appends their events. This node executes the commands of one conversation one at a time, and
 * conversations in parallel. Other nodes may decide for the same conversation: the expected sequence of an append is
 * the fence.
 */
export interface CommandBus {
  /**
   * Executes a request, which has to match its schema. Resolves when the event is in the log, or nothing had to change.
   * Rejects with ConfabError only. Imports use it too, with the users and times of the imported messages.
   */
  execute<R extends ConversationRequest | UserRequest>(
    request: R,
    context: CommandContext,
  ): Promise<AnswerOf[R['t']]>
  /** Commands in flight as a share of their limit, 0 to 1. */
  readonly load: number
  /** Resolves when no command is in flight. */
  drain(): Promise<void>
}

export interface CommandBusOptions {
  readonly log: EventLog
  /** The states that commands are decided on. */
  readonly states: DecidingStates
  readonly lookup: MessageLookup
  /**
   * Finds direct conversations that versions before `direct.opened` created. Not given: such a pair may get a second
   * one.
   */
  readonly shared?: SharedConversations | undefined
  /** The epochs of new events. Default: those of one region. */
  readonly epochs?: Epochs | undefined
  /**
   * Whether this node decides the commands of an aggregate. In a system of several regions, the home of its stream
   * does. Default: yes.
   */
  readonly decides?: (aggregate: AggregateRef) => boolean
  readonly limits?: Partial<BusLimits>
}

export const createCommandBus = ({
  log,
  states,
  lookup,
  shared: sharedConversations,
  epochs = oneEpoch,
  decides,
  limits: given,
}: CommandBusOptions): CommandBus => {
  const limits: BusLimits = { ...defaultBusLimits, ...given }
  const { conversations, users } = states.caches
  const inFlight = new CommandsInFlight()
  const shared = { log, epochs, inFlight, limits, failures: states.failures }
  const userQueues = new CommandQueues({
    ...shared,
    cache: users,
    handler: atHome(
      whileOwned<UserState, UserEvent, MutableUserCommand & Command>(
        userHandler(users, conversations, sharedConversations),
      ),
      decides && (({ user }) => decides({ family: Family.user, id: user })),
    ),
  })
  const conversationQueues = new CommandQueues({
    ...shared,
    cache: conversations,
    handler: atHome(
      whileOwned<ConversationState, ConversationEvent, MutableConversationCommand & Command>(
        conversationHandler(
          conversations,
          users,
          lookup,
          (command, peer) =>
            claimDirect(userQueues, { ...command, id: `d.${command.id}` }, peer, command.request.c),
          states.failures,
        ),
      ),
      decides &&
        (({ request }, { kind }) =>
          decides({ family: Family.conversation, id: request.c }) &&
          // A ban in a channel also ends a membership in the log of the user.
          (request.t !== 'ban' || kind !== 'channel' || decides({ family: Family.user, id: request.user }))),
    ),
  })
  const directs = new DirectConversations({
    users: userQueues,
    conversations: conversationQueues,
    states: conversations,
    userStates: users,
    inFlight,
    failures: states.failures,
    decides,
  })

  const push = (
    request: ConversationRequest | UserRequest,
    context: CommandContext,
    resolve: (answer: object) => void,
    reject: (error: Error) => void,
  ): void => {
    const { from, at, isImported, traceparent, isWanted } = context
    if (inFlight.count >= limits.open) throw new ConfabError('OVERLOADED')
    const id = context.id ?? commandIdOf(request, from)
    if (request.t === 'direct') {
      directs.open({ from, at, id, isWanted, traceparent }, request.user).then(resolve, reject)
    } else if (isUserRequest(request)) {
      const command = { request, user: from, from, at, isImported, id, isWanted }
      userQueues.push(from, queuedCommand(command, traceparent, resolve, reject))
    } else {
      const command = {
        request,
        from,
        at,
        isImported,
        id,
        now: undefined,
        blocked: undefined,
        peer: undefined,
        consent: undefined,
        follows: undefined,
        follower: undefined,
        limits,
        pair: undefined,
        found: undefined,
        isWanted,
      }
      if (request.t === 'create' && request.kind === 'direct') {
        directs.create(command, { from, at, id, isWanted, traceparent }).then(resolve, reject)
        return
      }
      const settled = isMembershipRequest(request)
        ? (answer: object) => {
            if ('handover' in answer)
              handOver(answer.handover as Handover, request, { ...context, id }, resolve, reject)
            else if (request.t === 'ban')
              unfollowIfBanned(request, request.user, { ...context, id }, reject, () => resolve(answer))
            else resolve(answer)
          }
        : resolve
      conversationQueues.push(request.c, queuedCommand(command, traceparent, settled, reject))
    }
  }

  /** Continues a command in the log of a user, because the log of the channel does not record it. Does not throw. */
  const handOver = (
    { user, follow, again }: Handover,
    request: ConversationRequest,
    context: IdentifiedContext,
    resolve: (answer: object) => void,
    reject: (error: Error) => void,
    // Another id than the command's, because both logs may hold an event of it.
    id = `f.${context.id}`,
  ): void => {
    const { from, at, isImported, traceparent, isWanted } = context
    const command = {
      request: { t: 'follow', c: request.c, on: follow } as const,
      user,
      from,
      at,
      isImported,
      id,
      isWanted,
    }
    const orReject = (run: () => void): void => {
      try {
        run()
      } catch (error) {
        reject(error as Error)
      }
    }
    const decideAgain = (): void => orReject(() => push(request, context, resolve, reject))
    const settled = follow
      ? (answer: object) =>
          unfollowIfBanned(request, user, context, reject, isBanned =>
            isBanned || again === true ? decideAgain() : resolve(answer),
          )
      : again === true
        ? decideAgain
        : resolve
    orReject(() => userQueues.push(user, queuedCommand(command, traceparent, settled, reject)))
  }

  /**
   * Ends the membership of a banned follower. A ban and a follow are events of two logs, and two nodes may append them
   * at once. Each of the two commands looks at the other log after its own append, so one of them sees both events.
   * Does not throw.
   */
  const unfollowIfBanned = (
    request: ConversationRequest,
    user: string,
    context: IdentifiedContext,
    reject: (error: Error) => void,
    done: (isBanned: boolean) => void,
  ): void => {
    const { id, at } = context
    inFlight.add()
    conversations
      .current(request.c)
      .then(
        ({ state }) => {
          if (banOf(state.bans, user, at) === undefined) done(false)
          else handOver({ user, follow: false }, request, context, () => done(true), reject, `u.${id}`)
        },
        error => {
          states.failures.report(error, { command: id })
          reject(ConfabError.from(error))
        },
      )
      // After `handOver`: the command stays in flight without a gap.
      .finally(() => inFlight.remove())
  }

  return {
    execute: <R extends ConversationRequest | UserRequest>(request: R, context: CommandContext) =>
      new Promise<AnswerOf[R['t']]>((resolve, reject) => {
        push(request, context, resolve as (answer: object) => void, reject)
      }),
    get load() {
      return inFlight.count / limits.open
    },
    drain: () => inFlight.idle(),
  }
}

/**
 * Whether a request changes the members of a conversation. A channel's log may leave such a change to the user's log.
 */
const isMembershipRequest = ({ t }: ConversationRequest): boolean =>
  t === 'join' || t === 'accept' || t === 'leave' || t === 'invite' || t === 'remove' || t === 'ban'

/** Whether a request changes the log of a user. */
export const isUserRequest = (request: ConversationRequest | UserRequest): request is UserRequest =>
  request.t === 'read' ||
  request.t === 'delivered' ||
  request.t === 'mute' ||
  request.t === 'hide' ||
  request.t === 'block' ||
  request.t === 'direct' ||
  request.t === 'privacy' ||
  request.t === 'profile'

/** Returns the conversation or the user whose log a request changes. */
export const aggregateOf = (request: ConversationRequest | UserRequest, from: string): AggregateRef =>
  isUserRequest(request) ? { family: Family.user, id: from } : { family: Family.conversation, id: request.c }

/**
 * Returns the id of a command, unique in the log. A repeated command gets the same id if its message id or key
 * identifies it. The parts are separated by dots, which ids do not contain.
 */
export const commandIdOf = (request: ConversationRequest | UserRequest, from: string): string => {
  if (request.t === 'send') return `m.${request.c}.${from}.${request.m}`
  if ('key' in request && request.key !== undefined) return `k.${request.c}.${from}.${request.key}`
  return v7()
}
