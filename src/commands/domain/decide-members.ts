import type { ConversationEvent, Role } from '../../events/index.ts'
import { type Decision, type Refusal, refuse } from './aggregate.ts'
import { banOf, bansAt, endless, untilField } from './bans.ts'
import {
  type CommandOf,
  type ConversationCommand,
  type ConversationLimits,
  isLower,
  refuseArchived,
  refuseBlocked,
  refuseStranger,
  roleIn,
} from './conversation-command.ts'
import type { ConversationState } from './conversation-state.ts'
import { hasDeparted, refuseAdding, refuseManyInvitations, uninvited } from './invitations.ts'

type ConversationDecision = Decision<ConversationEvent>

const unchanged = (state: ConversationState): ConversationDecision => ({ unchanged: { seq: state.seq } })

const refuseDirect = (): Refusal => refuse('FORBIDDEN', 'The members of a direct conversation cannot change.')

/** Refuses a user who is banned. `field`: the user is named by a request of another one. */
export const refuseBanned = (until: string, field?: '/user'): Refusal => ({
  ...refuse('BANNED', field && 'This user is banned from the conversation.', field),
  ...untilField(until),
})

/** Returns the role of a sender who may change the members, or the refusal. */
const managerRole = (
  state: ConversationState,
  sender: Pick<ConversationCommand, 'from' | 'follows' | 'at'>,
): Role | Refusal => {
  const role = roleIn(state, sender)
  if (role === undefined) return refuseStranger(state)
  if (state.kind === 'direct') return refuseDirect()
  return role === 'member' ? refuse('FORBIDDEN', 'Only the owner and admins may do this.') : role
}

/** Adds a user, or invites one who has to consent. */
export const decideInvite = (
  state: ConversationState,
  { request: { user }, from, at, follows, limits, blocked, consent }: CommandOf<'invite'>,
): ConversationDecision => {
  const role = managerRole(state, { from, follows, at })
  if (typeof role !== 'string') return role
  if (blocked === true) return refuseBlocked()
  const ban = banOf(state.bans, user, at)
  if (ban !== undefined) return refuseBanned(ban, '/user')
  if (state.members.has(user) || follows === true) return unchanged(state)
  if (consent === undefined) throw new TypeError('invite needs the consent of the user')
  const answer = consent(user)
  const isInvited = state.invitations.has(user)
  if (answer === 'add' && !hasDeparted(state, user)) {
    if (!isFull(state, limits)) return { event: joined(state, from, at, user) }
    if (!isInvited) return { handover: { user, follow: true } }
  }
  // A refusal would show that the user has a new reason for it.
  if (isInvited) return { unchanged: { seq: state.seq, pending: true } }
  if (answer === 'refuse') return refuseAdding('/user')
  const refusal = refuseArchived(state) ?? refuseManyInvitations(state.invitations, from, 1, limits)
  if (refusal !== undefined) return refusal
  return { event: { t: 'event', c: state.c, seq: state.seq + 1, type: 'member.invited', from, at, user } }
}

export const decideAccept = (
  state: ConversationState,
  { from, at, follows, limits }: CommandOf<'accept'>,
): ConversationDecision => {
  if (state.members.has(from)) return unchanged(state)
  if (!state.invitations.has(from)) return follows === true ? unchanged(state) : refuseStranger(state)
  return admitted(state, from, at, follows, limits)
}

export const decideDecline = (
  state: ConversationState,
  { from, at, follows }: CommandOf<'decline'>,
): ConversationDecision => {
  if (!state.invitations.has(from))
    return state.members.has(from) || follows === true ? unchanged(state) : refuseStranger(state)
  return { event: uninvited(state, from, at, from) }
}

/** Admits a user who consents: an open invitation ends by it. */
const admitted = (
  state: ConversationState,
  user: string,
  at: string,
  follows: boolean | undefined,
  limits: ConversationLimits | undefined,
): ConversationDecision => {
  const isInvited = state.invitations.has(user)
  if (follows === true && isInvited) return { event: uninvited(state, user, at, user, true) }
  if (isFull(state, limits)) return { handover: { user, follow: true, again: isInvited } }
  return { event: joined(state, user, at, user) }
}

export const decideJoin = (
  state: ConversationState,
  { from, at, follows, limits }: CommandOf<'join'>,
): ConversationDecision => {
  const isMember = state.members.has(from)
  if (!isMember && (state.seq === 0 || state.kind !== 'channel')) return refuseStranger(state)
  if (state.kind === 'direct') return refuseDirect()
  const ban = banOf(state.bans, from, at)
  if (ban !== undefined) return refuseBanned(ban)
  if (isMember) return unchanged(state)
  if (follows === true && state.members.size > 0 && !state.invitations.has(from)) return unchanged(state)
  return admitted(state, from, at, follows, limits)
}

/** Whether the log of a channel is full. Users who join later follow the channel. */
const isFull = (
  { kind, members }: ConversationState,
  { channelMembers = Number.POSITIVE_INFINITY }: ConversationLimits = {},
): boolean => kind === 'channel' && members.size >= channelMembers

/** Returns the event of a user who joins. The first member of an empty channel becomes its owner. */
const joined = (state: ConversationState, from: string, at: string, user: string): ConversationEvent => {
  const role = state.members.size === 0 ? 'owner' : 'member'
  return { t: 'event', c: state.c, seq: state.seq + 1, type: 'member.joined', from, at, user, role }
}

export const decideRemove = (
  state: ConversationState,
  { request: { user }, from, at, follows, blocked }: CommandOf<'remove'>,
): ConversationDecision => {
  const role = managerRole(state, { from, follows, at })
  if (typeof role !== 'string') return role
  if (blocked === true) return refuseBlocked()
  const theirRole = state.members.get(user)
  if (theirRole === undefined && follows !== true)
    return state.invitations.has(user) ? { event: uninvited(state, from, at, user) } : unchanged(state)
  if (theirRole !== undefined && !isLower(theirRole, role))
    return refuse('FORBIDDEN', 'You can remove members with a lower role only.')
  if (follows === true) return { handover: { user, follow: false, again: theirRole !== undefined } }
  return { event: { t: 'event', c: state.c, seq: state.seq + 1, type: 'member.left', from, at, user } }
}

/**
 * Bans a user in advance, or a member of a lower role. The membership of a follower is in the user's own log: the bus
 * ends it after the ban.
 */
export const decideBan = (
  state: ConversationState,
  { request: { user, until = endless }, from, at, follows, limits, blocked }: CommandOf<'ban'>,
): ConversationDecision => {
  const role = managerRole(state, { from, follows, at })
  if (typeof role !== 'string') return role
  if (blocked === true) return refuseBlocked()
  const theirRole = state.members.get(user)
  if (theirRole !== undefined && !isLower(theirRole, role))
    return refuse('FORBIDDEN', 'You can ban users with a lower role only.')
  if (until !== endless && until <= at)
    return refuse('BAD_REQUEST', 'until: expected a time in the future.', '/until')
  const before = banOf(state.bans, user, at)
  const isInvited = state.invitations.has(user)
  if (before === until && theirRole === undefined && !isInvited) return unchanged(state)
  const most = limits?.bans ?? Number.POSITIVE_INFINITY
  if (before === undefined && hasManyBans(state, at, most))
    return refuse(
      'CONFLICT',
      `user: the conversation has ${most} bans, and may have no more. Lift one first.`,
      '/user',
    )
  const { c } = state
  const seq = state.seq + 1
  return {
    event: {
      t: 'event',
      c,
      seq,
      type: 'member.banned',
      from,
      at,
      user,
      ...untilField(until),
      ...(isInvited ? { invited: true } : {}),
    },
  }
}

const hasManyBans = ({ bans }: ConversationState, at: string, most: number): boolean =>
  bans.size >= most && bansAt(bans, at).size >= most

export const decideUnban = (
  state: ConversationState,
  { request: { user }, from, at, follows, blocked }: CommandOf<'unban'>,
): ConversationDecision => {
  const role = managerRole(state, { from, follows, at })
  if (typeof role !== 'string') return role
  if (blocked === true) return refuseBlocked()
  if (banOf(state.bans, user, at) === undefined) return unchanged(state)
  return { event: { t: 'event', c: state.c, seq: state.seq + 1, type: 'member.unbanned', from, at, user } }
}

export const decideLeave = (
  state: ConversationState,
  { from, at, follows }: CommandOf<'leave'>,
): ConversationDecision => {
  const role = state.members.get(from)
  if (follows === true) return { handover: { user: from, follow: false, again: role !== undefined } }
  if (role === undefined) return refuseStranger(state)
  if (state.kind === 'direct') return refuseDirect()
  const seq = state.seq + 1
  const event = { t: 'event', c: state.c, seq, type: 'member.left', from, at, user: from } as const
  const successor = role === 'owner' && !hasOtherOwner(state, from) ? successorOf(state, from) : undefined
  return { event: successor === undefined ? event : { ...event, successor } }
}

export const decideRole = (
  state: ConversationState,
  { request: { user, role }, from, at, follows }: CommandOf<'role'>,
): ConversationDecision => {
  const own = managerRole(state, { from, follows, at })
  if (typeof own !== 'string') return own
  if (own !== 'owner') return refuse('FORBIDDEN', 'Only the owner may set roles.')
  const ban = banOf(state.bans, user, at)
  if (ban !== undefined) return refuseBanned(ban, '/user')
  // Setting a role adds a follower to the log of the channel.
  const theirRole = state.members.get(user) ?? (follows === true ? 'member' : undefined)
  if (theirRole === undefined) return refuse('NOT_FOUND', 'This user is not a member.', '/user')
  if (theirRole === role) return unchanged(state)
  if (theirRole === 'owner' && !hasOtherOwner(state, user))
    return refuse('CONFLICT', 'A conversation needs an owner. Set the role owner for another member first.')
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

const hasOtherOwner = (state: ConversationState, besides: string): boolean => {
  for (const [user, role] of state.members) if (role === 'owner' && user !== besides) return true
  return false
}

/**
 * Returns the admin who joined first, else the member who joined first. `leaving` does not count. Undefined: no
 * member is left.
 */
const successorOf = (state: ConversationState, leaving: string): string | undefined => {
  let first: string | undefined
  for (const [user, role] of state.members) {
    if (user === leaving) continue
    if (role === 'admin') return user
    first ??= user
  }
  return first
}
