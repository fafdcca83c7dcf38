import type { ConversationEvent, UserEvent } from '../../events/index.ts'
import { refuseReuse } from '../domain/conversation-command.ts'
import type { ConversationState } from '../domain/conversation-state.ts'
import { answerOfUser, decideUser, type FollowRequest, type UserCommand } from '../domain/decide-user.ts'
import { type UserState, userType } from '../domain/user-state.ts'
import type { AggregateCache } from '../states/aggregate-cache.ts'
import type { CommandHandler } from './command-handler.ts'

/** A user command to which the bus adds the conversation. */
export type MutableUserCommand = { -readonly [K in keyof UserCommand]: UserCommand[K] }

/** Handles the commands of users. Adds the state of the conversation that a command names. */
export const userHandler = (
  users: Pick<AggregateCache<UserState, UserEvent>, 'current'>,
  conversations: Pick<AggregateCache<ConversationState, ConversationEvent>, 'cached' | 'load' | 'current'>,
): CommandHandler<UserState, UserEvent, MutableUserCommand> => ({
  type: userType,
  decide: (state, command) => {
    const { request } = command
    const c = conversationOf(request)
    if (c !== undefined) {
      const entry = conversations.cached(c)
      if (entry === undefined) return conversations.load(c)
      const isBeyond = 'seq' in request && request.seq > entry.state.seq && command.conversation === undefined
      command.conversation = entry.state
      // The marker is beyond the last known event. Another node may have appended the event that the user has read.
      if (isBeyond) return conversations.current(c)
    }
    return decideUser(state, command)
  },
  prepare: (_state, { request }) => {
    const c = conversationOf(request)
    return c !== undefined && conversations.cached(c) === undefined ? conversations.load(c) : undefined
  },
  refresh: async ({ request, user }) => {
    const c = conversationOf(request)
    await Promise.all([users.current(user), c === undefined ? undefined : conversations.current(c)])
  },
  ordinal: () => 0,
  answer: (_command, event) => answerOfUser(event),
  decideStored: ({ request }, stored) => {
    const event = userType.decode(stored)
    return request.t === 'follow' && !isFollowEvent(request, event)
      ? refuseReuse()
      : { unchanged: answerOfUser(event) }
  },
})

/**
 * Returns the conversation that a request names. Decides by type, because fields outside the type's schema are not
 * validated.
 */
const conversationOf = (request: UserCommand['request']): string | undefined =>
  request.t === 'block' || request.t === 'privacy' ? undefined : request.c

const isFollowEvent = ({ c, on }: FollowRequest, event: UserEvent): boolean =>
  event.type === (on ? 'channel.followed' : 'channel.unfollowed') && event.c === c
