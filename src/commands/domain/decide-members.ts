import type { ConversationEvent, Role } from '../../events/index.ts'
import { type Decision, type Refusal, refuse } from './aggregate.ts'
import {
  type CommandOf,
  type ConversationCommand,
  isLower,
  refuseStranger,
  roleIn,
} from './conversation-command.ts'
import type { ConversationState } from './conversation-state.ts'

type ConversationDecision = Decision<ConversationEvent>

const unchanged = (state: ConversationState): ConversationDecision => ({ unchanged: { seq: state.seq } })

const forEver = (): Refusal => refuse('FORBIDDEN', 'A direct conversation has its two members for ever.')

/** The role of who asks, when the conversation's members can change and it is not a plain member. */
const managerRole = (
  state: ConversationState,
  asks: Pick<ConversationCommand, 'from' | 'follows'>,
): Role | Refusal => {
  const role = roleIn(state, asks)
  if (role === undefined) return refuseStranger(state)
  if (state.kind === 'direct') return forEver()
  return role === 'member' ? refuse('FORBIDDEN', 'Only the owner and admins do this.') : role
}

export const decideInvite = (
  state: ConversationState,
  { request: { user }, from, at, follows, channelMembers }: CommandOf<'invite'>,
): ConversationDecision => {
  const role = managerRole(state, { from, follows })
  if (typeof role !== 'string') return role
  if (state.members.has(user) || follows === true) return unchanged(state)
  if (isFull(state, channelMembers)) return { handover: { user, follow: true } }
  return { event: joined(state, from, at, user) }
}

export const decideJoin = (
  state: ConversationState,
  { from, at, follows, channelMembers }: CommandOf<'join'>,
): ConversationDecision => {
  const isMember = state.members.has(from)
  if (!isMember && (state.seq === 0 || state.kind !== 'channel')) return refuseStranger(state)
  if (state.kind === 'direct') return forEver()
  if (isMember || (follows === true && state.members.size > 0)) return unchanged(state)
  if (isFull(state, channelMembers)) return { handover: { user: from, follow: true } }
  return { event: joined(state, from, at, from) }
}

/** Whether a channel's log takes no more members: from then on they follow it. */
const isFull = (state: ConversationState, channelMembers = Number.POSITIVE_INFINITY): boolean =>
  state.kind === 'channel' && state.members.size >= channelMembers

/** Whoever comes into an empty channel becomes its owner: there is always one. */
const joined = (state: ConversationState, from: string, at: string, user: string): ConversationEvent => {
  const role = state.members.size === 0 ? 'owner' : 'member'
  return { t: 'event', c: state.c, seq: state.seq + 1, type: 'member.joined', from, at, user, role }
}

export const decideRemove = (
  state: ConversationState,
  { request: { user }, from, at, follows }: CommandOf<'remove'>,
): ConversationDecision => {
  const role = managerRole(state, { from, follows })
  if (typeof role !== 'string') return role
  const theirs = state.members.get(user)
  if (theirs === undefined && follows !== true) return unchanged(state)
  if (theirs !== undefined && !isLower(theirs, role))
    return refuse('FORBIDDEN', 'Only members of a lower role can be removed.')
  if (follows === true) return { handover: { user, follow: false, again: theirs !== undefined } }
  return { event: { t: 'event', c: state.c, seq: state.seq + 1, type: 'member.left', from, at, user } }
}

export const decideLeave = (
  state: ConversationState,
  { from, at, follows }: CommandOf<'leave'>,
): ConversationDecision => {
  const role = state.members.get(from)
  if (follows === true) return { handover: { user: from, follow: false, again: role !== undefined } }
  if (role === undefined) return refuseStranger(state)
  if (state.kind === 'direct') return forEver()
  const seq = state.seq + 1
  const event = { t: 'event', c: state.c, seq, type: 'member.left', from, at, user: from } as const
  const successor = role === 'owner' && !hasOtherOwner(state, from) ? successorOf(state, from) : undefined
  return { event: successor === undefined ? event : { ...event, successor } }
}

export const decideRole = (
  state: ConversationState,
  { request: { user, role }, from, at, follows }: CommandOf<'role'>,
): ConversationDecision => {
  const own = managerRole(state, { from, follows })
  if (typeof own !== 'string') return own
  if (own !== 'owner') return refuse('FORBIDDEN', 'Only the owner sets roles.')
  // Who follows a channel comes into its log by a role.
  const theirs = state.members.get(user) ?? (follows === true ? 'member' : undefined)
  if (theirs === undefined) return refuse('NOT_FOUND', 'There is no such member.', '/user')
  if (theirs === role) return unchanged(state)
  if (theirs === 'owner' && !hasOtherOwner(state, user))
    return refuse('CONFLICT', 'The last owner can only step down when there is another.')
  return {
    event: {
      t: 'event',
      c: state.c,
      seq: state.seq + 1,
      type: 'member.role_changed',
      from,
      at,
      user,
      role,
    },
  }
}

const hasOtherOwner = (state: ConversationState, than: string): boolean => {
  for (const [user, role] of state.members) if (role === 'owner' && user !== than) return true
  return false
}

/** The longest-standing admin but `leaving`, else member; undefined when nobody is left. */
const successorOf = (state: ConversationState, leaving: string): string | undefined => {
  let first: string | undefined
  for (const [user, role] of state.members) {
    if (user === leaving) continue
    if (role === 'admin') return user
    first ??= user
  }
  return first
}
