import { type ConversationEvent, UnreadableEventError, type UserEvent } from '../../events/index.ts'
import { refuseReuse } from '../domain/conversation-command.ts'
import { type ConversationState, isDirectOf } from '../domain/conversation-state.ts'
import {
  answerOfUser,
  decideUser,
  directPeer,
  type FollowRequest,
  isTaken,
  type UserCommand,
} from '../domain/decide-user.ts'
import { type UserState, userType } from '../domain/user-state.ts'
import type { SharedConversations } from '../ports/shared-conversations.ts'
import type { AggregateCache } from '../states/aggregate-cache.ts'
import type { CommandHandler } from './command-handler.ts'

/** A user command to which the bus adds facts. */
export type MutableUserCommand = { -readonly [K in keyof UserCommand]: UserCommand[K] }

type Users = Pick<AggregateCache<UserState, UserEvent>, 'cached' | 'load' | 'current'>
type Conversations = Pick<AggregateCache<ConversationState, ConversationEvent>, 'cached' | 'load' | 'current'>

/**
 * Handles the commands of users. Adds the state of the conversation that a command names, and what a direct
 * conversation needs: blocks between the two users, and their conversation from before logs recorded it.
 */
export const userHandler = (
  users: Users,
  conversations: Conversations,
  shared: SharedConversations | undefined,
): CommandHandler<UserState, UserEvent, MutableUserCommand> => {
  const facts = directFacts(users, conversations, shared)
  return {
    type: userType,
    decide: (state, command) => {
      const { request } = command
      const c = conversationOf(request)
      if (c !== undefined) {
        const entry = conversations.cached(c)
        if (entry === undefined) return conversations.load(c)
        const mustBeCurrent = command.conversation === undefined && needsHead(request, entry.state)
        command.conversation = entry.state
        if (mustBeCurrent) return conversations.current(c)
      }
      return facts.add(state, command) ?? decideUser(state, command)
    },
    prepare: (state, command) => {
      const c = conversationOf(command.request)
      if (c !== undefined) return conversations.cached(c) === undefined ? conversations.load(c) : undefined
      return facts.add(state, command)
    },
    refresh: async command => {
      const c = conversationOf(command.request)
      await Promise.all([
        users.current(command.user),
        c === undefined ? undefined : conversations.current(c),
        facts.refresh(command),
      ])
    },
    ordinal: () => 0,
    answer: (_command, event) => answerOfUser(event),
    decideStored: ({ request }, stored) => {
      const event = userType.decode(stored)
      return request.t === 'follow' && !isFollowEvent(request, event)
        ? refuseReuse()
        : { unchanged: answerOfUser(event) }
    },
  }
}

/**
 * Whether a request is about the last event of its conversation, which another node may have appended: a marker beyond
 * the known events, or hiding, which includes all events up to now.
 */
const needsHead = (request: UserCommand['request'], { seq }: ConversationState): boolean =>
  ('seq' in request && request.seq > seq) || (request.t === 'hide' && request.on)

/** Adds the facts that a `direct` needs. Does nothing for other commands. */
const directFacts = (users: Users, conversations: Conversations, shared: SharedConversations | undefined) => {
  const setBlocked = (command: MutableUserCommand, state: UserState, other: UserState): void => {
    command.blocked = state.blocked.has(other.user) || other.blocked.has(state.user)
  }
  /** Returns a direct conversation of two users that no log records: of several, the one with most events. */
  const earlierOf = async (user: string, other: string): Promise<string | null> => {
    let found: ConversationState | undefined
    for (const c of (await shared?.of(user, other)) ?? []) {
      const state = await readable(conversations.load(c))
      if (state !== undefined && isDirectOf(state, user, other) && state.seq > (found?.seq ?? 0))
        found = state
    }
    return found?.c ?? null
  }
  return {
    /** Returns undefined when the command has all facts, otherwise a promise that resolves when it has another one. */
    add: (state: UserState, command: MutableUserCommand): Promise<unknown> | undefined => {
      const { request, from } = command
      if (request.t !== 'direct') return undefined
      const peer = directPeer(state.user, from, request.user)
      const other = users.cached(peer)
      if (other !== undefined) setBlocked(command, state, other.state)
      else if (command.blocked === undefined)
        return users.load(peer).then(loaded => setBlocked(command, state, loaded.state))
      const recorded = state.directs.get(peer)
      if (recorded !== undefined) {
        const entry = conversations.cached(recorded)
        if (entry === undefined) return conversations.load(recorded)
        command.conversation = entry.state
        if (!isTaken(entry.state, state.user, peer)) return undefined
      }
      if (command.earlier !== undefined) return undefined
      return earlierOf(state.user, peer).then(earlier => {
        command.earlier = earlier
      })
    },
    refresh: async (command: MutableUserCommand): Promise<void> => {
      const { request, user, from } = command
      if (request.t !== 'direct') return
      const peer = directPeer(user, from, request.user)
      const [{ state }, other] = await Promise.all([users.current(user), users.current(peer)])
      setBlocked(command, state, other.state)
      const recorded = state.directs.get(peer)
      if (recorded !== undefined) await conversations.current(recorded)
    },
  }
}

/** Returns a state, or undefined when this build cannot read the conversation: the pair shares others with it. */
const readable = async (
  loading: Promise<{ readonly state: ConversationState }>,
): Promise<ConversationState | undefined> => {
  try {
    return (await loading).state
  } catch (error) {
    if (UnreadableEventError.is(error)) return undefined
    throw error
  }
}

/**
 * Returns the conversation that a request names. Decides by type, because fields outside the type's schema are not
 * validated.
 */
const conversationOf = (request: UserCommand['request']): string | undefined =>
  request.t === 'block' || request.t === 'privacy' || request.t === 'profile' || request.t === 'direct'
    ? undefined
    : request.c

const isFollowEvent = ({ c, on }: FollowRequest, event: UserEvent): boolean =>
  event.type === (on ? 'channel.followed' : 'channel.unfollowed') && event.c === c
