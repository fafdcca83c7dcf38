import {
  type AppData,
  type ConversationEvent,
  canonicalEmoji,
  decodeConversationEvent,
  type Envelope,
  fingerprintOf,
  type HistoryFrom,
  type Kind,
  type Posting,
  type Role,
} from '../../events/index.ts'
import type { MessageRef } from '../ports/message-lookup.ts'
import { type AggregateState, type AggregateType, dataBytes, type Origin } from './aggregate.ts'
import { type Bans, endless, noBans, withBan, withoutBan } from './bans.ts'
import { evolveGuests, type Guests, noGuests } from './invitations.ts'
import {
  addToFilter,
  deserialiseFilter,
  emptyFilter,
  filterBytes,
  forkFilter,
  isAhead,
  type MessageIdFilter,
  type SerialFilter,
  serialiseFilter,
} from './message-id-filter.ts'
import {
  deserialiseRecent,
  forkRecent,
  noRecentEvents,
  type RecentEvents,
  remember,
  rememberUnknown,
  serialiseRecent,
} from './recent-events.ts'
import {
  deserialiseSlowMode,
  forkSlowMode,
  notePosted,
  type SlowMode,
  serialiseSlowMode,
  slowModeOf,
} from './slow-mode.ts'

/** State of a conversation, as deciders need it. `seq` 0: the conversation does not exist. */
export interface ConversationState extends AggregateState, Guests {
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
  ...noGuests(),
  sharesMembers: false,
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
      Object.assign(state, noGuests())
      evolveGuests(state, event)
      state.sharesMembers = false
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
      if (event.uninvited !== undefined) {
        ownMembers(state)
        evolveGuests(state, event)
      }
      break
    case 'member.joined':
    case 'member.role_changed':
      ownMembers(state)
      evolveGuests(state, event)
      if (!state.members.has(event.user)) state.joined.set(event.user, event.seq)
      state.members.set(event.user, event.role)
      state.mostMembers = Math.max(state.mostMembers, state.members.size)
      break
    case 'member.invited':
    case 'member.uninvited':
      ownMembers(state)
      evolveGuests(state, event)
      break
    case 'member.left':
      ownMembers(state)
      evolveGuests(state, event)
      state.members.delete(event.user)
      state.joined.delete(event.user)
      if (event.successor !== undefined) state.members.set(event.successor, 'owner')
      break
    case 'message.edited':
    case 'message.deleted':
      state.amended = event.seq
      break
    case 'member.banned':
      ownMembers(state)
      evolveGuests(state, event)
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
const skipConversationEvent = (state: ConversationState, { seq, n }: Envelope, origin: Origin): void => {
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

/**
 * Average memory, bytes, measured with Node 24: of a member, of a member's joining, of a ban, of an entry of slow mode,
 * and of a recent event. Estimated: of an invitation, and of a user that has left.
 */
const memberBytes = 64
const joinedBytes = 40
const invitationBytes = 200
const departedBytes = 64
const banBytes = 120
const lastPostBytes = 110
const recentBytes = 250

/**
 * Version of the snapshot format. Version 2 had no postdated generations in `seen`. Version 3 had no `at`, no
 * fingerprints, and did not record old reactions. Version 4 had no data, no bans and no archived conversations, and did
 * not record when members joined, nor edits and deletions. Version 5 had no invitations, and did not record which users
 * had left by themselves, nor the writers of a direct conversation.
 */
const snapshotVersion = 6
const readableVersions: readonly number[] = [2, 3, 4, 5, snapshotVersion]

/** The snapshot of a conversation, as JSON. */
interface SerialConversation {
  readonly seq: number
  readonly stream: string
  readonly streamSeq: number
  readonly at?: string
  readonly kind: Kind
  readonly title?: string | undefined
  /** User, role, and seq of joining unless it is 1. Ordered by the time of joining. */
  readonly members: [user: string, role: Role, joined?: number][]
  /** User, user that invited, time. */
  readonly invitations?: [user: string, by: string, at: string][]
  readonly departed?: string[]
  readonly forgetsDeparted?: boolean
  readonly mostMembers?: number
  readonly writers?: string[]
  readonly posting: Posting
  readonly historyFrom?: HistoryFrom
  readonly slowMode?: ReturnType<typeof serialiseSlowMode> | undefined
  readonly data?: AppData | undefined
  readonly archived?: boolean
  /** User and end of the ban. */
  readonly bans?: [string, string][]
  readonly n: number
  readonly amended?: number
  readonly creation: string
  readonly creationFingerprint?: number | undefined
  readonly hasOldReactions?: boolean
  readonly recent: ReturnType<typeof serialiseRecent>
  readonly capacity: RecentEvents['capacity']
  readonly seen: SerialFilter
}

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true })

export const serialiseConversation = (state: ConversationState): Uint8Array => {
  const { seq, stream, streamSeq, at, kind, title, n, creation, creationFingerprint, hasOldReactions } = state
  const serial: SerialConversation = {
    seq,
    stream,
    streamSeq,
    at,
    kind,
    title,
    members: Array.from(state.members, ([user, role]) => {
      const joined = state.joined.get(user)
      return joined === undefined ? [user, role] : [user, role, joined]
    }),
    invitations: Array.from(state.invitations, ([user, invitation]) => [user, invitation.by, invitation.at]),
    departed: [...state.departed],
    forgetsDeparted: state.forgetsDeparted,
    mostMembers: state.mostMembers,
    writers: [...state.writers],
    posting: state.posting,
    historyFrom: state.historyFrom,
    slowMode: state.slowMode && serialiseSlowMode(state.slowMode),
    data: state.data,
    archived: state.archived,
    bans: [...state.bans],
    n,
    amended: state.amended,
    creation,
    creationFingerprint,
    hasOldReactions,
    recent: serialiseRecent(state.recent),
    capacity: state.recent.capacity,
    seen: serialiseFilter(state.seen),
  }
  return encoder.encode(JSON.stringify(serial))
}

export const deserialiseConversation = (
  c: string,
  bytes: Uint8Array,
  version: number,
  now?: number,
): ConversationState => {
  if (!readableVersions.includes(version))
    throw new RangeError(
      `snapshot of ${c} has version ${version}, this build reads ${readableVersions.join(', ')}`,
    )
  const serial = JSON.parse(decoder.decode(bytes)) as SerialConversation
  const { seq, stream, streamSeq, at = '', kind, title, n, creation, creationFingerprint } = serial
  // A guess of when a member joined could show the member messages from before. A guess of who left could add a user
  // who does not want to be there.
  if (version < 6 && kind !== 'direct')
    throw new RangeError(
      `snapshot of ${c} lacks when members joined and left, so the state is rebuilt from the log`,
    )
  const recent = deserialiseRecent(serial.recent, serial.capacity)
  const seen = deserialiseFilter(serial.seen)
  if (version === 2 && isAhead(seen, oldestMessageAt(recent)))
    throw new RangeError(
      `snapshot of ${c} holds message ids from the future, so the state is rebuilt from the log`,
    )
  return {
    c,
    seq,
    stream,
    streamSeq,
    at,
    hasSkipped: false,
    kind,
    title,
    members: new Map(serial.members.map(([user, role]) => [user, role])),
    joined: new Map(
      serial.members.flatMap(([user, , joined]) => (joined === undefined ? [] : [[user, joined]])),
    ),
    invitations: new Map(serial.invitations?.map(([user, by, at]) => [user, { by, at }])),
    departed: new Set(serial.departed),
    forgetsDeparted: serial.forgetsDeparted ?? false,
    sharesMembers: false,
    mostMembers: serial.mostMembers ?? serial.members.length,
    // Of an earlier version, the writers that are known: a user who is not among them is invited instead of added.
    writers: new Set(serial.writers ?? (kind === 'direct' ? writersIn(recent) : [])),
    posting: serial.posting,
    historyFrom: serial.historyFrom ?? 'start',
    slowMode: serial.slowMode && deserialiseSlowMode(serial.slowMode, now),
    data: serial.data,
    archived: serial.archived ?? false,
    bans: serial.bans === undefined ? noBans : new Map(serial.bans),
    n,
    amended: serial.amended ?? seq,
    creation,
    creationFingerprint,
    hasOldReactions: serial.hasOldReactions ?? true,
    recent,
    seen,
  }
}

const writersIn = (recent: RecentEvents): Iterable<string> =>
  Array.from(recent.messages.values(), ({ from }) => from)

/**
 * Returns the time of the oldest message in `recent`, ms since 1970. All messages in the filter are older. 0 without
 * messages.
 */
const oldestMessageAt = (recent: RecentEvents): number => {
  const [oldest] = recent.messages.values()
  return oldest === undefined ? 0 : Date.parse(oldest.at)
}

export const conversationType: AggregateType<ConversationState, ConversationEvent> = {
  family: 'conv',
  snapshotVersion,
  empty: emptyConversation,
  decode: decodeConversationEvent,
  evolve: evolveConversation,
  skip: skipConversationEvent,
  fork: forkConversation,
  serialise: serialiseConversation,
  deserialise: deserialiseConversation,
  bytes: state =>
    1300 +
    state.members.size * memberBytes +
    state.bans.size * banBytes +
    state.joined.size * joinedBytes +
    state.invitations.size * invitationBytes +
    state.departed.size * departedBytes +
    (state.slowMode?.posted.size ?? 0) * lastPostBytes +
    Math.min(state.seq, state.recent.capacity) * recentBytes +
    dataBytes(state.data) +
    filterBytes(state.seen),
}
