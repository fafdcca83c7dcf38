import type { ConversationEvent, UserEvent } from '../../events/index.ts'
import type { ConversationState } from '../domain/conversation-state.ts'
import { answerOfUser, decideUser, type UserCommand } from '../domain/decide-user.ts'
import { type UserState, userType } from '../domain/user-state.ts'
import type { AggregateCache } from '../states/aggregate-cache.ts'
import type { CommandHandler } from './command-handler.ts'

/** A command as the bus carries it: the conversation is added on the way. */
export type MutableUserCommand = { -readonly [K in keyof UserCommand]: UserCommand[K] }

/** Decides users' commands with the conversation that they name. */
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
      // A mark beyond the head: another node may have appended what the user has read.
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
  answerStored: (_command, stored) => answerOfUser(userType.decode(stored)),
})

/** The conversation that a request is about. By its type: of fields that its type does not have, nobody has checked anything. */
const conversationOf = (request: UserCommand['request']): string | undefined =>
  request.t === 'block' || request.t === 'privacy' ? undefined : request.c
