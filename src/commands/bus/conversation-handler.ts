import type { ConversationEvent, UserEvent } from '../../events/index.ts'
import type { AggregateState } from '../domain/aggregate.ts'
import { type ConversationCommand, messageOf } from '../domain/conversation-command.ts'
import { type ConversationState, conversationType } from '../domain/conversation-state.ts'
import { answerOfConversation, decideConversation } from '../domain/decide-conversation.ts'
import { oldestOf } from '../domain/recent-events.ts'
import type { UserState } from '../domain/user-state.ts'
import type { MessageLookup } from '../ports/message-lookup.ts'
import type { AggregateCache } from '../states/aggregate-cache.ts'
import type { BusLimits } from './bus-limits.ts'
import type { CommandHandler } from './command-handler.ts'

/** A command as the bus carries it: facts are added on the way. */
export type MutableConversationCommand = {
  -readonly [K in keyof ConversationCommand]: ConversationCommand[K]
}

type Aggregates<S extends AggregateState, E> = Pick<AggregateCache<S, E>, 'cached' | 'load' | 'current'>

/** Decides conversations' commands with what they need from elsewhere: the blocks of the two of a direct conversation, and messages that the state has forgotten. */
export const conversationHandler = (
  conversations: Aggregates<ConversationState, ConversationEvent>,
  users: Aggregates<UserState, UserEvent>,
  lookup: MessageLookup,
  { channelMembers }: Pick<BusLimits, 'channelMembers'>,
): CommandHandler<ConversationState, ConversationEvent, MutableConversationCommand> => ({
  type: conversationType,
  decide: (state, command) => {
    const peer = peerOf(state, command)
    if (peer !== undefined) {
      const asked = askBlocked(users, command, peer)
      if (asked !== undefined) return asked
    }
    const follower = followerOf(state, command)
    if (follower !== undefined) {
      const user = users.cached(follower)
      if (user !== undefined) noteFollows(command, user)
      else if (command.follower !== follower)
        return users.load(follower).then(loaded => noteFollows(command, loaded))
      command.channelMembers = channelMembers
    }
    const decision = decideConversation(state, command)
    return 'lacks' in decision ? find(lookup, command, decision.lacks, decision.upTo) : decision
  },
  prepare: (state, command) => {
    const facts: Promise<unknown>[] = []
    const peer = peerOf(state, command)
    const asked = peer === undefined ? undefined : askBlocked(users, command, peer)
    if (asked !== undefined) facts.push(asked)
    const follower = followerOf(state, command)
    // Noted as it is loaded: a small cache may have lost it by the time of the decision.
    if (follower !== undefined && command.follower !== follower)
      facts.push(users.load(follower).then(loaded => noteFollows(command, loaded)))
    const { request } = command
    if ('m' in request) {
      // Whoever sends may only become a member within the batch, so it is asked whether he is one or not.
      const message = messageOf(state, request.m, command.found)
      if (message === undefined)
        command.found = { m: request.m, upTo: oldestOf(state.recent) - 1, message: undefined }
      else if ('lacks' in message) facts.push(find(lookup, command, message.lacks, message.upTo))
    }
    return facts.length === 0 ? undefined : Promise.all(facts)
  },
  refresh: async command => {
    const { state } = await conversations.current(command.request.c)
    const peer = peerOf(state, command)
    if (peer !== undefined)
      noteBlocked(command, ...(await Promise.all([users.current(command.from), users.current(peer)])))
    const follower = followerOf(state, command)
    if (follower !== undefined) noteFollows(command, await users.current(follower))
  },
  ordinal: (state, event) => (event.type === 'message.posted' ? event.n : state.n),
  answer: ({ request }, { seq, at }) => answerOfConversation(request.t, seq, at, false),
  answerStored: ({ request }, stored, duplicate) => {
    const { seq } = stored.envelope
    const at = request.t === 'send' ? conversationType.decode(stored).at : ''
    return answerOfConversation(request.t, seq, at, duplicate)
  },
})

/** In a channel: the user of whom it matters whether they follow it. Of who asks and is in the channel's own log it does not. */
const followerOf = (state: ConversationState, { request, from }: ConversationCommand): string | undefined => {
  if (state.kind !== 'channel' || state.seq === 0) return undefined
  switch (request.t) {
    case 'invite':
    case 'remove':
    case 'role':
      return state.members.has(from) ? request.user : from
    case 'join':
    case 'leave':
      return from
    case 'send':
    case 'edit':
    case 'delete':
    case 'react':
    case 'rename':
    case 'settings':
      return state.members.has(from) ? undefined : from
    default:
      return undefined
  }
}

interface Loaded {
  readonly state: UserState
}

const noteFollows = (command: MutableConversationCommand, { state }: Loaded): void => {
  command.follows = state.follows.has(command.request.c)
  command.follower = state.user
}

/** The other one, where it matters whether one of the two has blocked the other. */
const peerOf = (state: ConversationState, { request, from }: ConversationCommand): string | undefined => {
  if (state.seq === 0) {
    if (request.t !== 'create' || request.kind !== 'direct') return undefined
    return request.members.find(user => user !== from)
  }
  if (state.kind !== 'direct') return undefined
  const { t } = request
  if ((t !== 'send' && t !== 'edit' && t !== 'react') || !state.members.has(from)) return undefined
  for (const user of state.members.keys()) if (user !== from) return user
  return undefined
}

const noteBlocked = (
  command: MutableConversationCommand,
  { state: one }: Loaded,
  { state: other }: Loaded,
): void => {
  command.blocked = one.blocked.has(other.user) || other.blocked.has(one.user)
}

/** Notes whether one of the two has blocked the other: now, where both are here; else it resolves once it is noted. */
const askBlocked = (
  users: Aggregates<UserState, UserEvent>,
  command: MutableConversationCommand,
  peer: string,
): Promise<void> | undefined => {
  const [one, other] = [users.cached(command.from), users.cached(peer)]
  if (one !== undefined && other !== undefined) noteBlocked(command, one, other)
  // What was loaded counts, also where a small cache has lost it again.
  else if (command.blocked === undefined)
    return Promise.all([users.load(command.from), users.load(peer)]).then(loaded =>
      noteBlocked(command, ...loaded),
    )
  return undefined
}

const find = async (
  lookup: MessageLookup,
  command: MutableConversationCommand,
  m: string,
  upTo: number,
): Promise<void> => {
  command.found = { m, upTo, message: await lookup.find(command.request.c, m, upTo) }
}
