import {
  type AppData,
  dataChangeOf,
  isUnchanged,
  type RequestOf,
  type UserEvent,
  type UserRequest,
} from '../../events/index.ts'
import { type Decision, refuse } from './aggregate.ts'
import { banOf } from './bans.ts'
import { refuseStranger, roleIn, timeOfNext } from './conversation-command.ts'
import { type ConversationState, isDirectOf } from './conversation-state.ts'
import { refuseBanned } from './decide-members.ts'
import { marksOf, type UserState } from './user-state.ts'

/** A change of whether a user follows a channel. The decider of the channel has authorised it. */
export interface FollowRequest {
  readonly t: 'follow'
  readonly c: string
  readonly on: boolean
}

export interface UserCommand {
  readonly request: UserRequest | FollowRequest
  /** Id of the user whose log records the change. */
  readonly user: string
  /** User id of the sender: the same user, or staff of a channel that removes or adds a follower. */
  readonly from: string
  /** ISO time of the event. */
  readonly at: string
  /** Whether the time is of an imported event. */
  readonly isImported?: boolean | undefined
  /** Command id, unique in the log. */
  readonly id: string
  /** The conversation that the request names. `direct`: the conversation that the state records for the pair. */
  readonly conversation?: ConversationState
  /** `direct`: whether one of the two users has blocked the other. */
  readonly blocked?: boolean
  /** `direct`: the conversation's id, if the two users have none. */
  readonly proposed?: string
  /** `direct`: a conversation of the two users that no log records; null: there is none. Set if the state has none. */
  readonly earlier?: string | null
}

/**
 * The decider of users: pure and deterministic. Requests name the desired state, so a repeated request changes
 * nothing.
 */
export const decideUser = (state: UserState, command: UserCommand): Decision<UserEvent> => {
  const { request, conversation } = command
  const at = timeOfNext(state, command)
  const u = state.user
  const seq = state.seq + 1
  if (request.t === 'block') {
    const { user, on } = request
    if (user === u) return refuse('BAD_REQUEST', 'user: you cannot block yourself.', '/user')
    if (state.blocked.has(user) === on) return { unchanged: {} }
    return { event: { u, seq, type: on ? 'user.blocked' : 'user.unblocked', at, user } }
  }
  if (request.t === 'privacy') {
    const { lastSeen = state.lastSeen, receipts = state.receipts } = request
    const { invitations = state.invitations } = request
    if (lastSeen === state.lastSeen && receipts === state.receipts && invitations === state.invitations)
      return { unchanged: { lastSeen, receipts, invitations } }
    return { event: { u, seq, type: 'privacy.changed', at, lastSeen, receipts, invitations } }
  }
  if (request.t === 'profile') {
    const data = dataChangeOf(request.data)
    if (data === undefined || isUnchanged(state.data, data)) return { unchanged: profileOf(state.data) }
    return { event: { u, seq, type: 'profile.changed', at, data } }
  }
  if (request.t === 'follow') return decideFollow(state, request, { ...command, at })
  if (request.t === 'direct') return decideDirect(state, { ...command, at })
  const { c } = request
  if (request.t === 'mute' && state.muted.has(c) === request.on) return { unchanged: {} }
  if (request.t === 'hide' && !request.on && !state.hidden.has(c)) return { unchanged: {} }
  // A user who has left may still unmute and unhide. Everything else requires membership.
  if (!((request.t === 'mute' || request.t === 'hide') && !request.on)) {
    if (conversation === undefined) throw new TypeError(`${request.t} needs the state of its conversation`)
    const role = roleIn(conversation, { from: u, at, follows: state.follows.has(c) })
    if (role === undefined) return refuseStranger(conversation)
  }
  if (request.t === 'mute')
    return { event: { u, seq, type: request.on ? 'conversation.muted' : 'conversation.unmuted', at, c } }
  if (request.t === 'hide') return decideHide(state, request, at, conversation)
  const mark = Math.min(request.seq, conversation?.seq ?? 0)
  const marks = marksOf(state, c)
  if (request.t === 'read') {
    if (mark <= marks.read) return { unchanged: { seq: marks.read } }
    return { event: { u, seq, type: 'read.marked', at, c, mark } }
  }
  if (mark <= marks.delivered) return { unchanged: { seq: marks.delivered } }
  return { event: { u, seq, type: 'delivered.marked', at, c, mark } }
}

const profileOf = (data: AppData | null | undefined): { data?: AppData } => (data == null ? {} : { data })

/** Returns the other user of a `direct` that is decided in the log of `user`. */
export const directPeer = (user: string, from: string, requested: string): string =>
  user === from ? requested : from

/** Whether the conversation that is recorded for two users has become one of other users. */
export const isTaken = (conversation: ConversationState, user: string, other: string): boolean =>
  conversation.seq > 0 && !isDirectOf(conversation, user, other)

const decideDirect = (
  state: UserState,
  { request, from, at, conversation, blocked, proposed, earlier }: UserCommand,
): Decision<UserEvent> => {
  if (request.t !== 'direct' || proposed === undefined) throw new TypeError('direct needs a proposed id')
  const { user: u, directs } = state
  const peer = directPeer(u, from, request.user)
  if (peer === u) return refuse('BAD_REQUEST', 'user: a direct conversation needs another user.', '/user')
  if (blocked === true) return refuse('FORBIDDEN', 'One of you has blocked the other.')
  const recorded = directs.get(peer)
  if (recorded !== undefined) {
    if (conversation?.c !== recorded)
      throw new TypeError('direct needs the state of the recorded conversation')
    // A `create` that proposes the taken id is refused by the conversation that has it.
    if (!isTaken(conversation, u, peer) || proposed === recorded)
      return { unchanged: { c: recorded }, ...(conversation.seq > 0 ? { done: true } : {}) }
  }
  const c = earlier ?? proposed
  return { event: { u, seq: state.seq + 1, type: 'direct.opened', at, peer, c, by: from } }
}

const decideHide = (
  state: UserState,
  { c, on }: RequestOf['hide'],
  at: string,
  conversation: ConversationState | undefined,
): Decision<UserEvent> => {
  const base = { u: state.user, seq: state.seq + 1, at, c }
  if (!on) return { event: { ...base, type: 'conversation.unhidden' } }
  const head = conversation?.seq ?? 0
  return state.hidden.get(c) === head
    ? { unchanged: {} }
    : { event: { ...base, type: 'conversation.hidden', head } }
}

const decideFollow = (
  state: UserState,
  { c, on }: FollowRequest,
  { at, from, conversation }: UserCommand,
): Decision<UserEvent> => {
  if (conversation === undefined) throw new TypeError('follow needs the state of its conversation')
  const { seq: head, n } = conversation
  const ban = on ? banOf(conversation.bans, state.user, at) : undefined
  if (ban !== undefined) return refuseBanned(ban, from === state.user ? undefined : '/user')
  if (state.follows.has(c) === on) return { unchanged: { seq: head } }
  const base = { u: state.user, seq: state.seq + 1, at, c, head }
  return {
    event: on ? { ...base, type: 'channel.followed', n } : { ...base, type: 'channel.unfollowed', by: from },
  }
}

/** Returns the answer to a command that produced an event. */
export const answerOfUser = (event: UserEvent): object => {
  if (event.type === 'profile.changed') return profileOf(event.data)
  if (event.type === 'privacy.changed')
    // Version 1 has no `receipts`, version 2 no `invitations`: no user could change them.
    return {
      lastSeen: event.lastSeen,
      receipts: event.receipts ?? 'everybody',
      invitations: event.invitations ?? 'everybody',
    }
  if (event.type === 'direct.opened') return { c: event.c }
  if (event.type === 'channel.followed' || event.type === 'channel.unfollowed') return { seq: event.head }
  return event.type === 'read.marked' || event.type === 'delivered.marked' ? { seq: event.mark } : {}
}
