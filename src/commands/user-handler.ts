import type { ConversationEvent, UserEvent } from '../events/index.ts'
import type { AggregateCache } from './aggregate-cache.ts'
import type { CommandHandler } from './command-handler.ts'
import type { ConversationState } from './conversation-state.ts'
import { answerOfUser, decideUser, type UserCommand } from './decide-user.ts'
import { type UserState, userType } from './user-state.ts'

/** A command as the bus carries it: the conversation is added on the way. */
export type UserJobCommand = { -readonly [K in keyof UserCommand]: UserCommand[K] }

type Conversations = Pick<AggregateCache<ConversationState, ConversationEvent>, 'cached' | 'load'>

/** Decides users' commands with the conversation that they name. */
export const userHandler = (
  conversations: Conversations,
): CommandHandler<UserState, UserEvent, UserJobCommand> => ({
  type: userType,
  decide: (state, command) => {
    const { request } = command
    if ('c' in request) {
      const entry = conversations.cached(request.c)
      if (entry === undefined) return conversations.load(request.c)
      command.conversation = entry.state
    }
    return decideUser(state, command)
  },
  ordinal: () => 0,
  answer: (_command, event) => answerOfUser(event),
  answerStored: (_command, stored) => answerOfUser(userType.decode(stored)),
})
