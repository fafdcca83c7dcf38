import {
  type AppData,
  type ConversationEvent,
  canonicalEmoji,
  type Envelope,
  fingerprintOf,
  type HistoryFrom,
  type Kind,
  type Posting,
  type Role,
} from '../../events/index.ts'
import type { MessageRef } from '../ports/message-lookup.ts'
import type { AggregateState, Origin } from './aggregate.ts'
import { type Bans, endless, noBans, withBan, withoutBan } from './bans.ts'
import { evolveInvitations, type InvitationState, noInvitations } from './invitations.ts'
import { addToFilter, emptyFilter, forkFilter, type MessageIdFilter } from './message-id-filter.ts'
import { forkRecent, noRecentEvents, type RecentEvents, remember, rememberUnknown } from './recent-events.ts'
import { forkSlowMode, notePosted, type SlowMode, slowModeOf } from './slow-mode.ts'

/** State of a conversation, as deciders need it. `seq` 0: the conversation does not exist. */
export interface ConversationState extends AggregateState, InvitationState {
  readonly c: string
  kind: Kind
  title: string | undefined
  /** Ordered by the time of joining, earliest first. */
  members: Map<string, Role>
  /** seq of the latest joining, of the members who joined after the conversation was created. */
  joined: Map<string, number>
  /**
   * Whether `members`, `joined`, `invitations` and `departed` are shared with another state. Copy them before the first
   * change then.
   */
  sharesMembers: boolean
  /** Undefined: in a snapshot of a build that did not record it. */
  creator: string | undefined
  /** Largest number of members so far. */
  mostMembers: number
  /** Direct conversation: the members that have posted a message. Never changed in place. */
  writers: ReadonlySet<string>
  posting: Posting
  historyFrom: HistoryFrom
  /** Undefined: off. */
  slowMode: SlowMode | undefined
  /** Data of the application, never changed in place. Undefined: none. */
  data: AppData | undefined
  /** Whether nothing may be posted. */
  archived: boolean
  /** Some of them may have ended. */
  bans: Bans
  /** Number of messages posted. */
  n: number
  /** seq of the last event that edited or deleted a message; 0: none. */
  amended: number
  /** Id of the command that created the conversation. Kept for ever, so that a repeated `create` is recognised. */
  creation: string
  /** Fingerprint of `conversation.created`. Undefined: recorded by a build without fingerprints. */
  creationFingerprint: number | undefined
  /** Whether there may be reactions that are not one emoji in canonical form, from a build that accepted any text. */
  hasOldReactions: boolean
  readonly recent: RecentEvents
  /** Ids of messages that `recent` no longer holds. */
  readonly seen: MessageIdFilter
}

const noWriters: ReadonlySet<string> = new Set()

export const emptyConversation = (c: string): ConversationState => ({
  c,
  seq: 0,
  stream: '',
  streamSeq: 0,
  at: '',
  hasSkipped: false,
  kind: 'group',
  title: undefined,
  members: new Map(),
  joined: new Map(),
  ...noInvitations(),
  sharesMembers: false,
  creator: undefined,
  mostMembers: 0,
  writers: noWriters,
  posting: 'everybody',
  historyFrom: 'start',
  slowMode: undefined,
  data: undefined,
  archived: false,
  bans: noBans,
  n: 0,
  amended: 0,
  creation: '',
  creationFingerprint: undefined,
  hasOldReactions: false,
  recent: noRecentEvents(),
  seen: emptyFilter(),
})

/** Applies the next event, in place. Throws a RangeError for any other event. */
export const evolveConversation = (
  state: ConversationState,
  event: ConversationEvent,
  origin: Origin,
): void => {
  if (event.seq !== state.seq + 1 || event.c !== state.c)
    throw new RangeError(`${state.c}: event ${event.seq} of ${event.c} cannot follow ${state.seq}`)
  if (changesMembers(event)) ownMembers(state)
  evolveInvitations(state, event)
  switch (event.type) {
    case 'message.posted':
      state.n = event.n
      if (state.slowMode !== undefined && !isStaff(state.members.get(event.from)))
        notePosted(state.slowMode, event, origin)
      if (state.kind === 'direct' && !state.writers.has(event.from))
        state.writers = new Set([...state.writers, event.from])
      break
    case 'conversation.created':
      state.kind = event.kind
      state.title = event.title
      state.data = event.data
      state.creation = origin.commandId
      state.creationFingerprint = fingerprintOf(event)
      state.members = new Map(event.members.map(({ user, role }) => [user, role]))
      state.joined = new Map()
      state.creator = event.from
      state.mostMembers = state.members.size
      state.historyFrom = event.historyFrom ?? 'start'
      break
    case 'conversation.renamed':
      state.title = event.title
      break
    case 'reaction.added':
      state.hasOldReactions ||= canonicalEmoji(event.emoji) !== event.emoji
      break
    case 'conversation.settings_changed':
      state.posting = event.posting
      state.slowMode = slowModeOf(event.slowModeSeconds, state.slowMode)
      if (event.data !== undefined) state.data = event.data ?? undefined
      state.archived = event.archived ?? state.archived
      state.historyFrom = event.historyFrom ?? state.historyFrom
      break
    case 'member.joined':
    case 'member.role_changed':
      if (!state.members.has(event.user)) state.joined.set(event.user, event.seq)
      state.members.set(event.user, event.role)
      state.mostMembers = Math.max(state.mostMembers, state.members.size)
      break
    case 'member.left':
      state.members.delete(event.user)
      state.joined.delete(event.user)
      if (event.successor !== undefined) state.members.set(event.successor, 'owner')
      break
    case 'message.edited':
    case 'message.deleted':
      state.amended = event.seq
      break
    case 'member.banned':
      state.members.delete(event.user)
      state.joined.delete(event.user)
      state.bans = withBan(state.bans, event.user, event.until ?? endless, event.at)
      break
    case 'member.unbanned':
      state.bans = withoutBan(state.bans, event.user, event.at)
      break
  }
  if (event.at > state.at) state.at = event.at
  advance(state, event.seq, remember(state.recent, event, origin.commandId), origin)
}

/**
 * Advances the state past an event of an unknown type. Its command id is kept, so that the command is not executed
 * again.
 */
export const skipConversationEvent = (
  state: ConversationState,
  { seq, n }: Envelope,
  origin: Origin,
): void => {
  state.n = n
  state.hasSkipped = true
  advance(state, seq, rememberUnknown(state.recent, seq, origin.commandId), origin)
}

const advance = (
  state: ConversationState,
  seq: number,
  forgotten: MessageRef | undefined,
  { stream, streamSeq }: Origin,
): void => {
  // The filter takes only ids that `recent` no longer holds. A new id is younger than all of them and needs no look-up.
  if (forgotten !== undefined) addToFilter(state.seen, forgotten.m, Date.parse(forgotten.at))
  state.seq = seq
  state.stream = stream
  state.streamSeq = streamSeq
}

/** Whether a conversation is the direct conversation of two users. Once it is not, it never will be. */
export const isDirectOf = (state: ConversationState, user: string, other: string): boolean =>
  state.seq > 0 && state.kind === 'direct' && state.members.has(user) && state.members.has(other)

/**
 * Returns the other member of a conversation in which a user is alone with one other user. Undefined: the user is not
 * in it, or there are more users. A channel that once had `channelMembers` members may have followers as well.
 */
export const companionOf = (
  { kind, members, mostMembers }: ConversationState,
  user: string,
  channelMembers = Number.POSITIVE_INFINITY,
): string | undefined => {
  if (members.size !== 2 || !members.has(user)) return undefined
  if (kind === 'channel' && mostMembers >= channelMembers) return undefined
  for (const member of members.keys()) if (member !== user) return member
  return undefined
}

/** Followers of a channel have no role: they are not in `members`. */
const isStaff = (role: Role | undefined): boolean => role === 'owner' || role === 'admin'

/**
 * Returns the seq of a member's latest joining; 1 for the first members. Undefined: not a member. A follower of a
 * channel whose role was set joined with that event.
 */
export const joinedAt = ({ members, joined }: ConversationState, user: string): number | undefined =>
  members.has(user) ? (joined.get(user) ?? 1) : undefined

/** Whether an event changes collections that states may share. */
const changesMembers = (event: ConversationEvent): boolean => {
  switch (event.type) {
    case 'conversation.created':
    case 'member.joined':
    case 'member.role_changed':
    case 'member.left':
    case 'member.invited':
    case 'member.uninvited':
    case 'member.banned':
      return true
    case 'conversation.settings_changed':
      return event.uninvited !== undefined
    default:
      return false
  }
}

const ownMembers = (state: ConversationState): void => {
  if (!state.sharesMembers) return
  state.members = new Map(state.members)
  state.joined = new Map(state.joined)
  state.invitations = new Map(state.invitations)
  state.departed = new Set(state.departed)
  state.sharesMembers = false
}

/**
 * Returns a copy that evolves independently. The members are copied only when an event changes them. The original
 * must not evolve while the fork is in use.
 */
export const forkConversation = (state: ConversationState, events: number): ConversationState => ({
  ...state,
  sharesMembers: true,
  slowMode: forkSlowMode(state.slowMode),
  recent: forkRecent(state.recent, events),
  seen: forkFilter(state.seen),
})
