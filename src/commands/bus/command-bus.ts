import { v7 } from 'uuid'
import {
  type AnswerOf,
  ConfabError,
  type ConversationEvent,
  type ConversationRequest,
  type UserEvent,
  type UserRequest,
} from '../../events/index.ts'
import type { Handover } from '../domain/aggregate.ts'
import type { ConversationState } from '../domain/conversation-state.ts'
import type { UserState } from '../domain/user-state.ts'
import type { EventLog } from '../ports/event-log.ts'
import type { MessageLookup } from '../ports/message-lookup.ts'
import type { DecidingStates } from '../states/state-reader.ts'
import { type BusLimits, defaultBusLimits } from './bus-limits.ts'
import { type Command, CommandsInFlight, newJob, whileNeeded } from './command-handler.ts'
import { CommandQueues } from './command-queue.ts'
import { type ConversationJobCommand, conversationHandler } from './conversation-handler.ts'
import { type UserJobCommand, userHandler } from './user-handler.ts'

/** Who asks, and when. The bus takes no time and no identity from anywhere else. */
export interface CommandContext {
  /** User id, authenticated. */
  readonly from: string
  /** ISO time that the event will carry. */
  readonly at: string
  /** W3C trace context. */
  readonly traceparent?: string
  /** Command id, for a command that may be given to the bus again; not given: made of the request. */
  readonly id?: string
  /** Asked before each decision; false ends the command as UNAVAILABLE. For who may give it to another bus before this one has answered. */
  readonly isWanted?: () => boolean
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
  /** Commands under way, of those that may be: 0 to 1. */
  readonly load: number
  /** Resolves when no command is under way. */
  drain(): Promise<void>
}

export interface CommandBusOptions {
  readonly log: EventLog
  /** The states that commands are decided on. */
  readonly states: DecidingStates
  readonly lookup: MessageLookup
  /** What the events' envelopes say; 1 until a region is promoted. */
  readonly epoch: number
  readonly limits?: Partial<BusLimits>
}

export const createCommandBus = ({
  log,
  states,
  lookup,
  epoch,
  limits: given,
}: CommandBusOptions): CommandBus => {
  const limits: BusLimits = { ...defaultBusLimits, ...given }
  const { conversations, users } = states.caches
  const open = new CommandsInFlight()
  const shared = { log, epoch, open, limits }
  const conversationLanes = new CommandQueues({
    ...shared,
    cache: conversations,
    handler: whileNeeded<ConversationState, ConversationEvent, ConversationJobCommand & Command>(
      conversationHandler(conversations, users, lookup, limits),
    ),
  })
  const userLanes = new CommandQueues({
    ...shared,
    cache: users,
    handler: whileNeeded<UserState, UserEvent, UserJobCommand & Command>(userHandler(users, conversations)),
  })

  const push = (
    request: ConversationRequest | UserRequest,
    context: CommandContext,
    resolve: (answer: object) => void,
    reject: (error: Error) => void,
  ): void => {
    const { from, at, traceparent, isWanted } = context
    if (open.count >= limits.open) throw new ConfabError('OVERLOADED')
    const id = context.id ?? commandIdOf(request, from)
    if (isUserRequest(request)) {
      const command = { request, user: from, from, at, id, isWanted }
      userLanes.push(from, newJob(command, traceparent, resolve, reject))
    } else {
      const command = {
        request,
        from,
        at,
        id,
        blocked: undefined,
        follows: undefined,
        follower: undefined,
        channelMembers: undefined,
        found: undefined,
        isWanted,
      }
      const settled = isOfMembers(request)
        ? (answer: object) => {
            if ('handover' in answer)
              handOver(answer.handover as Handover, request, { ...context, id }, resolve, reject)
            else resolve(answer)
          }
        : resolve
      conversationLanes.push(request.c, newJob(command, traceparent, settled, reject))
    }
  }

  /** Goes on in the user's log with what the channel's has left to it. Does not throw. */
  const handOver = (
    { user, follow, again }: Handover,
    request: ConversationRequest,
    context: CommandContext & { readonly id: string },
    resolve: (answer: object) => void,
    reject: (error: Error) => void,
  ): void => {
    const { from, at, traceparent, isWanted } = context
    // Both logs may hold an event of the command.
    const id = `f.${context.id}`
    const command = {
      request: { t: 'follow', c: request.c, on: follow } as const,
      user,
      from,
      at,
      id,
      isWanted,
    }
    const once = (work: () => void): void => {
      try {
        work()
      } catch (error) {
        reject(error as Error)
      }
    }
    const settled = again === true ? () => once(() => push(request, context, resolve, reject)) : resolve
    once(() => userLanes.push(user, newJob(command, traceparent, settled, reject)))
  }

  return {
    execute: <R extends ConversationRequest | UserRequest>(request: R, context: CommandContext) =>
      new Promise<AnswerOf[R['t']]>((resolve, reject) => {
        push(request, context, resolve as (answer: object) => void, reject)
      }),
    get load() {
      return open.count / limits.open
    },
    drain: () => open.none(),
  }
}

/** Requests about who is in a conversation, which a channel's log may leave to the user's. */
const isOfMembers = ({ t }: ConversationRequest): boolean =>
  t === 'join' || t === 'leave' || t === 'invite' || t === 'remove'

export const isUserRequest = (request: ConversationRequest | UserRequest): request is UserRequest =>
  request.t === 'read' ||
  request.t === 'delivered' ||
  request.t === 'mute' ||
  request.t === 'block' ||
  request.t === 'privacy'

/**
 * The id of a command, unique in the log; equal for a command that is sent again, when there is something to tell it by: a message's id, or a key. Dots part it, since ids have none.
 */
export const commandIdOf = (request: ConversationRequest | UserRequest, from: string): string => {
  if (request.t === 'send') return messageCommandId(request.c, from, request.m)
  if ('key' in request && request.key !== undefined) return `k.${request.c}.${from}.${request.key}`
  return v7()
}

/** The command id of `send`. */
export const messageCommandId = (c: string, from: string, m: string): string => `m.${c}.${from}.${m}`
