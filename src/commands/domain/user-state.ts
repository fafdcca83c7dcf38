import {
  type AppData,
  decodeUserEvent,
  type InvitationsFor,
  type LastSeenFor,
  type ReceiptsFor,
  type UserEvent,
} from '../../events/index.ts'
import { type AggregateState, type AggregateType, dataBytes, type Origin } from './aggregate.ts'

/**
 * Markers of a user in a conversation: seq of the last event read and of the last one delivered. Read implies
 * delivered.
 */
export interface Marks {
  readonly read: number
  readonly delivered: number
}

/**
 * State of a user: markers, mutes, blocks, privacy, profile and followed channels. Every user exists, also with
 * `seq` 0.
 */
export interface UserState extends AggregateState {
  readonly user: string
  readonly marks: Map<string, Marks>
  /** Ids of muted conversations. */
  readonly muted: Set<string>
  /** Hidden conversation to its last event at that time. A later message shows the conversation again. */
  readonly hidden: Map<string, number>
  /** Ids of blocked users. */
  readonly blocked: Set<string>
  /** The users who may see when this user was last connected. */
  lastSeen: LastSeenFor
  /** Data of the profile, never changed in place. Undefined: none. */
  data: AppData | undefined
  /** The users who may see the markers of this user. */
  receipts: ReceiptsFor
  /** The users who may add this user to groups and channels. */
  invitations: InvitationsFor
  /** Channels that the user followed and left by himself. */
  readonly unfollowed: Set<string>
  /** Followed channels: id to the seq of the channel's last event when the user joined it. */
  readonly follows: Map<string, number>
  /** Other user to direct conversation, of the pairs that this log records: the other user's id is greater. */
  readonly directs: Map<string, string>
}

export const emptyUser = (user: string): UserState => ({
  user,
  seq: 0,
  stream: '',
  streamSeq: 0,
  at: '',
  hasSkipped: false,
  marks: new Map(),
  muted: new Set(),
  hidden: new Map(),
  blocked: new Set(),
  lastSeen: 'contacts',
  data: undefined,
  receipts: 'everybody',
  invitations: 'everybody',
  unfollowed: new Set(),
  follows: new Map(),
  directs: new Map(),
})

const noMarks: Marks = { read: 0, delivered: 0 }

export const marksOf = (state: UserState, c: string): Marks => state.marks.get(c) ?? noMarks

/** Applies the next event, in place. Throws a RangeError for any other event. */
export const evolveUser = (state: UserState, event: UserEvent, origin: Origin): void => {
  if (event.seq !== state.seq + 1 || event.u !== state.user)
    throw new RangeError(`${state.user}: event ${event.seq} of ${event.u} cannot follow ${state.seq}`)
  switch (event.type) {
    case 'read.marked': {
      const { read, delivered } = marksOf(state, event.c)
      state.marks.set(event.c, {
        read: Math.max(read, event.mark),
        delivered: Math.max(delivered, event.mark),
      })
      break
    }
    case 'delivered.marked': {
      const { read, delivered } = marksOf(state, event.c)
      state.marks.set(event.c, { read, delivered: Math.max(delivered, event.mark) })
      break
    }
    case 'conversation.muted':
      state.muted.add(event.c)
      break
    case 'conversation.unmuted':
      state.muted.delete(event.c)
      break
    case 'conversation.hidden':
      state.hidden.set(event.c, event.head)
      break
    case 'conversation.unhidden':
      state.hidden.delete(event.c)
      break
    case 'user.blocked':
      state.blocked.add(event.user)
      break
    case 'user.unblocked':
      state.blocked.delete(event.user)
      break
    case 'privacy.changed':
      state.lastSeen = event.lastSeen
      if (event.receipts !== undefined) state.receipts = event.receipts
      if (event.invitations !== undefined) state.invitations = event.invitations
      break
    case 'profile.changed':
      state.data = event.data ?? undefined
      break
    case 'channel.followed':
      state.follows.set(event.c, event.head)
      state.hidden.delete(event.c)
      state.unfollowed.delete(event.c)
      break
    case 'channel.unfollowed':
      state.follows.delete(event.c)
      if (event.by === state.user) state.unfollowed.add(event.c)
      break
    case 'direct.opened':
      state.directs.set(event.peer, event.c)
      break
  }
  if (event.at > state.at) state.at = event.at
  advance(state, event.seq, origin)
}

const advance = (state: UserState, seq: number, { stream, streamSeq }: Origin): void => {
  state.seq = seq
  state.stream = stream
  state.streamSeq = streamSeq
}

/**
 * Version of the snapshot format. Version 4 had no `invitations`, and did not record which channels the user had left:
 * a guess could add a user that has to consent. So the states of earlier versions are rebuilt from the log.
 */
const snapshotVersion = 5

/** The snapshot of a user, as JSON. */
interface SerialUser {
  readonly seq: number
  readonly stream: string
  readonly streamSeq: number
  readonly at: string
  /** Conversation id, read marker, delivered marker. */
  readonly marks: [string, number, number][]
  readonly muted: string[]
  /** Conversation, and its last event when it was hidden. */
  readonly hidden: [string, number][]
  readonly blocked: string[]
  readonly lastSeen: LastSeenFor
  readonly data?: AppData | undefined
  readonly receipts: ReceiptsFor
  readonly invitations: InvitationsFor
  readonly unfollowed: string[]
  /** Channel, seq. */
  readonly follows: [string, number][]
  /** Other user, direct conversation. */
  readonly directs: [string, string][]
}

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true })

const serialise = (state: UserState): Uint8Array => {
  const {
    seq,
    stream,
    streamSeq,
    at,
    marks,
    muted,
    hidden,
    blocked,
    lastSeen,
    receipts,
    invitations,
    unfollowed,
    data,
    follows,
    directs,
  } = state
  const serial: SerialUser = {
    seq,
    stream,
    streamSeq,
    at,
    marks: Array.from(marks, ([c, { read, delivered }]) => [c, read, delivered]),
    muted: [...muted],
    hidden: [...hidden],
    blocked: [...blocked],
    lastSeen,
    data,
    receipts,
    invitations,
    unfollowed: [...unfollowed],
    follows: [...follows],
    directs: [...directs],
  }
  return encoder.encode(JSON.stringify(serial))
}

const deserialise = (user: string, bytes: Uint8Array, version: number): UserState => {
  if (version !== snapshotVersion)
    throw new RangeError(`snapshot of ${user} has version ${version}, this build reads ${snapshotVersion}`)
  const serial = JSON.parse(decoder.decode(bytes)) as SerialUser
  const {
    seq,
    stream,
    streamSeq,
    at,
    marks,
    muted,
    hidden,
    blocked,
    lastSeen,
    data,
    receipts,
    invitations,
    unfollowed,
    follows,
    directs,
  } = serial
  return {
    user,
    seq,
    stream,
    streamSeq,
    at,
    hasSkipped: false,
    marks: new Map(marks.map(([c, read, delivered]) => [c, { read, delivered }])),
    muted: new Set(muted),
    hidden: new Map(hidden),
    blocked: new Set(blocked),
    lastSeen,
    data,
    receipts,
    invitations,
    unfollowed: new Set(unfollowed),
    follows: new Map(follows),
    directs: new Map(directs),
  }
}

export const userType: AggregateType<UserState, UserEvent> = {
  family: 'user',
  snapshotVersion,
  empty: emptyUser,
  decode: decodeUserEvent,
  evolve: evolveUser,
  skip: (state, { seq }, origin) => {
    state.hasSkipped = true
    advance(state, seq, origin)
  },
  fork: state => ({
    ...state,
    marks: new Map(state.marks),
    muted: new Set(state.muted),
    hidden: new Map(state.hidden),
    blocked: new Set(state.blocked),
    unfollowed: new Set(state.unfollowed),
    follows: new Map(state.follows),
    directs: new Map(state.directs),
  }),
  serialise,
  deserialise,
  bytes: state =>
    600 +
    dataBytes(state.data) +
    (state.marks.size + state.directs.size + state.hidden.size) * 110 +
    (state.muted.size + state.blocked.size + state.unfollowed.size + state.follows.size) * 70,
}
