import {
  asksFor,
  type ConversationEvent,
  fingerprintOf,
  isKnownType,
  type UserEvent,
} from '../../events/index.ts'
import type { AggregateState, Decision } from '../domain/aggregate.ts'
import { type ConversationCommand, messageOf, refuseReuse } from '../domain/conversation-command.ts'
import { type ConversationState, companionOf } from '../domain/conversation-state.ts'
import { conversationType } from '../domain/conversation-type.ts'
import { answerOfConversation, decideConversation } from '../domain/decide-conversation.ts'
import type { UserState } from '../domain/user-state.ts'
import type { MessageLookup } from '../ports/message-lookup.ts'
import type { AggregateCache } from '../states/aggregate-cache.ts'
import type { FailureLog } from '../states/state-reader.ts'
import type { CommandHandler } from './command-handler.ts'
import { Consents, needsConsent } from './consents.ts'

/** A conversation command to which the bus adds facts. */
export type MutableConversationCommand = {
  -readonly [K in keyof ConversationCommand]: ConversationCommand[K]
}

type Aggregates<S extends AggregateState, E> = Pick<AggregateCache<S, E>, 'cached' | 'load' | 'current'>

/**
 * Handles the commands of conversations. Adds facts that the state does not hold: blocks between two users who are
 * alone in a conversation, the direct conversation that they have already, whether a user follows a channel, the
 * consent of users who are added, and messages older than the recent events.
 */
export const conversationHandler = (
  conversations: Aggregates<ConversationState, ConversationEvent>,
  users: Aggregates<UserState, UserEvent>,
  lookup: MessageLookup,
  claimDirect: (command: ConversationCommand, peer: string) => Promise<string>,
  failures: Pick<FailureLog, 'report'>,
): CommandHandler<ConversationState, ConversationEvent, MutableConversationCommand> => {
  const consents = new Consents(users, conversations, failures)
  const addConsent = async (command: MutableConversationCommand): Promise<void> => {
    command.consent = await consents.of(command)
  }
  return {
    type: conversationType,
    decide: (state, command) => {
      const peer = notePeer(state, command)
      const pendingBlock = peer === undefined ? undefined : addBlocked(users, command, peer)
      if (pendingBlock !== undefined) return pendingBlock
      const follower = followerOf(state, command)
      if (follower !== undefined) {
        const user = users.cached(follower)
        if (user !== undefined) setFollows(command, user)
        else if (command.follower !== follower)
          return users.load(follower).then(loaded => setFollows(command, loaded))
      }
      if (command.consent === undefined && needsConsent(state, command)) return addConsent(command)
      if (state.slowMode !== undefined) command.now = performance.now()
      const decision = decideConversation(state, command)
      // Before a direct conversation is created, its id is recorded: the two users may have another one.
      if (command.pair === undefined && peer !== undefined && isCreation(decision))
        return claimDirect(command, peer).then(c => {
          command.pair = c
        })
      return 'lacks' in decision ? find(lookup, command, decision.lacks, decision.upTo) : decision
    },
    prepare: (state, command) => {
      const facts: Promise<unknown>[] = []
      const peer = notePeer(state, command)
      const pendingBlock = peer === undefined ? undefined : addBlocked(users, command, peer)
      if (pendingBlock !== undefined) facts.push(pendingBlock)
      const follower = followerOf(state, command)
      // Keep the fact in the command: a small cache may evict the user before the decision.
      if (follower !== undefined && command.follower !== follower)
        facts.push(users.load(follower).then(loaded => setFollows(command, loaded)))
      if (command.consent === undefined && needsConsent(state, command)) facts.push(addConsent(command))
      const { request } = command
      if ('m' in request) {
        // The sender may become a member through an earlier command of the batch, so look the message up in any case.
        const message = messageOf(state, request.m, command.found)
        if (message === undefined)
          command.found = { m: request.m, upTo: state.recent.oldest - 1, message: undefined }
        else if ('lacks' in message) facts.push(find(lookup, command, message.lacks, message.upTo))
      }
      return facts.length === 0 ? undefined : Promise.all(facts)
    },
    refresh: async command => {
      const { state } = await conversations.current(command.request.c)
      const peer = notePeer(state, command)
      if (peer !== undefined)
        setBlocked(command, ...(await Promise.all([users.current(command.from), users.current(peer)])))
      const follower = followerOf(state, command)
      if (follower !== undefined) setFollows(command, await users.current(follower))
      if (needsConsent(state, command)) await addConsent(command)
    },
    ordinal: (state, event) => (event.type === 'message.posted' ? event.n : state.n),
    answer: ({ request }, event) => answerOfConversation(request.t, event, false),
    decideStored: ({ request, from }, stored, duplicate) => {
      const { type, seq } = stored.envelope
      // A newer build may answer the same request with an event of a new type.
      if (!isKnownType(type) && request.t !== 'send')
        return { unchanged: answerOfConversation(request.t, { seq }, duplicate) }
      const event = conversationType.decode(stored)
      return asksFor(request, from, { type: event.type, fingerprint: fingerprintOf(event) })
        ? { unchanged: answerOfConversation(request.t, event, duplicate) }
        : refuseReuse(request.t)
    },
  }
}

const isCreation = (decision: Decision<ConversationEvent>): boolean =>
  'event' in decision && decision.event.type === 'conversation.created'

/** Returns the user whose following of the channel affects the decision; undefined when no user's does. */
const followerOf = (state: ConversationState, { request, from }: ConversationCommand): string | undefined => {
  if (state.kind !== 'channel' || state.seq === 0) return undefined
  switch (request.t) {
    case 'invite':
    case 'remove':
    case 'role':
      return state.members.has(from) ? request.user : from
    case 'join':
    case 'leave':
    case 'accept':
    case 'decline':
      return from
    case 'send':
    case 'edit':
    case 'delete':
    case 'react':
    case 'rename':
    case 'settings':
    case 'ban':
    case 'unban':
      return state.members.has(from) ? undefined : from
    default:
      return undefined
  }
}

interface Loaded {
  readonly state: UserState
}

const setFollows = (command: MutableConversationCommand, { state }: Loaded): void => {
  command.follows = state.follows.has(command.request.c)
  command.follower = state.user
}

/**
 * Returns the other one of two users who are alone in a conversation, if a block between the two affects the command.
 */
const peerOf = (
  state: ConversationState,
  { request, from, limits }: ConversationCommand,
): string | undefined => {
  if (state.seq === 0) {
    if (request.t !== 'create' || request.kind !== 'direct') return undefined
    return request.members.find(user => user !== from)
  }
  if (state.members.size !== 2) return undefined
  switch (request.t) {
    case 'send':
    case 'edit':
    case 'react':
    // Titles and data reach the other user as well.
    case 'rename':
    case 'settings':
      return companionOf(state, from, limits?.channelMembers)
    // The id of a third user may be a message to the other one, and a third member would leave the two not alone.
    case 'invite':
    case 'remove':
    case 'ban':
    case 'unban': {
      const companion = companionOf(state, from, limits?.channelMembers)
      return request.user === companion ? undefined : companion
    }
    default:
      return undefined
  }
}

/**
 * Returns the result of `peerOf`, and forgets a fact about another peer: members may have joined or left since an
 * earlier decision of the command.
 */
const notePeer = (state: ConversationState, command: MutableConversationCommand): string | undefined => {
  const peer = peerOf(state, command)
  if (command.peer !== peer) command.blocked = undefined
  command.peer = peer
  return peer
}

const setBlocked = (
  command: MutableConversationCommand,
  { state: one }: Loaded,
  { state: other }: Loaded,
): void => {
  command.blocked = one.blocked.has(other.user) || other.blocked.has(one.user)
}

/**
 * Adds whether one of the two users has blocked the other. Returns undefined when both users are cached, otherwise a
 * promise that resolves when the fact is in the command.
 */
const addBlocked = (
  users: Aggregates<UserState, UserEvent>,
  command: MutableConversationCommand,
  peer: string,
): Promise<void> | undefined => {
  const [one, other] = [users.cached(command.from), users.cached(peer)]
  if (one !== undefined && other !== undefined) setBlocked(command, one, other)
  // A fact from an earlier load stays valid, also when a small cache has evicted the users.
  else if (command.blocked === undefined)
    return Promise.all([users.load(command.from), users.load(peer)]).then(loaded =>
      setBlocked(command, ...loaded),
    )
  return undefined
}

/** Looks a message up and adds it to the command. */
const find = async (
  lookup: MessageLookup,
  command: MutableConversationCommand,
  m: string,
  upTo: number,
): Promise<void> => {
  command.found = { m, upTo, message: await lookup.find(command.request.c, m, upTo) }
}
