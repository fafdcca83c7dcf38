import type { ConversationEvent, UserEvent } from '../events/index.ts'
import type { AggregateCache } from './aggregate-cache.ts'
import type { CommandHandler } from './command-handler.ts'
import type { ConversationState } from './conversation-state.ts'
import { answerOfUser, decideUser, type UserCommand } from './decide-user.ts'
import { type UserState, userType } from './user-state.ts'

/** A command as the bus carries it: the conversation is added on the way. */
export type UserJobCommand = { -readonly [K in keyof UserCommand]: UserCommand[K] }

/** Decides users' commands with the conversation that they name. */
export const userHandler = (
  users: Pick<AggregateCache<UserState, UserEvent>, 'current'>,
  conversations: Pick<AggregateCache<ConversationState, ConversationEvent>, 'cached' | 'load' | 'current'>,
): CommandHandler<UserState, UserEvent, UserJobCommand> => ({
  type: userType,
  decide: (state, command) => {
    const { request } = command
    if ('c' in request) {
      const entry = conversations.cached(request.c)
      if (entry === undefined) return conversations.load(request.c)
      const isBeyond = 'seq' in request && request.seq > entry.state.seq && command.conversation === undefined
      command.conversation = entry.state
      // A mark beyond the head: another node may have appended what the user has read.
      if (isBeyond) return conversations.current(request.c)
    }
    return decideUser(state, command)
  },
  prepare: (_state, { request }) =>
    'c' in request && conversations.cached(request.c) === undefined
      ? conversations.load(request.c)
      : undefined,
  refresh: async ({ request, user }) => {
    await Promise.all([users.current(user), 'c' in request ? conversations.current(request.c) : undefined])
  },
  ordinal: () => 0,
  answer: (_command, event) => answerOfUser(event),
  answerStored: (_command, stored) => answerOfUser(userType.decode(stored)),
})
