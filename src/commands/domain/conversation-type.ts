import {
  type AppData,
  type ConversationEvent,
  decodeConversationEvent,
  type HistoryFrom,
  type Kind,
  type Posting,
  type Role,
} from '../../events/index.ts'
import { type AggregateType, dataBytes } from './aggregate.ts'
import { noBans } from './bans.ts'
import {
  type ConversationState,
  emptyConversation,
  evolveConversation,
  forkConversation,
  skipConversationEvent,
} from './conversation-state.ts'
import {
  deserialiseFilter,
  filterBytes,
  isAhead,
  type SerialFilter,
  serialiseFilter,
} from './message-id-filter.ts'
import { deserialiseRecent, type RecentEvents, serialiseRecent } from './recent-events.ts'
import { deserialiseSlowMode, serialiseSlowMode } from './slow-mode.ts'

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
 * had left by themselves, nor the creator, nor the writers of a direct conversation.
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
  readonly creator?: string | undefined
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
    creator: state.creator,
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
    creator: serial.creator ?? (kind === 'direct' ? ownerIn(serial) : undefined),
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

/** The creator of a direct conversation, whose roles never change. */
const ownerIn = ({ members }: SerialConversation): string | undefined =>
  members.find(([, role]) => role === 'owner')?.[0]

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

/** Conversations as aggregates: how their states are built from events, stored as snapshots, and counted in caches. */
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
