import { decodeUserEvent, type LastSeenFor, type UserEvent } from '../../events/index.ts'
import type { AggregateState, AggregateType, Origin } from './aggregate.ts'

/** How far a user has come in a conversation; what was read was delivered. */
export interface Marks {
  readonly read: number
  readonly delivered: number
}

/** All that one user did for itself. `seq` 0: nothing yet; every user exists. */
export interface UserState extends AggregateState {
  readonly user: string
  readonly marks: Map<string, Marks>
  /** Conversations that are muted. */
  readonly muted: Set<string>
  /** Users that are blocked. */
  readonly blocked: Set<string>
  /** Who is told when the user was last here. */
  lastSeen: LastSeenFor
  /** Channels that are followed. */
  readonly follows: Set<string>
}

export const emptyUser = (user: string): UserState => ({
  user,
  seq: 0,
  stream: '',
  streamSeq: 0,
  marks: new Map(),
  muted: new Set(),
  blocked: new Set(),
  lastSeen: 'contacts',
  follows: new Set(),
})

const noMarks: Marks = { read: 0, delivered: 0 }

export const marksOf = (state: UserState, c: string): Marks => state.marks.get(c) ?? noMarks

/** Takes the next event in, in place. Throws a RangeError for any but the next. */
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
    case 'user.blocked':
      state.blocked.add(event.user)
      break
    case 'user.unblocked':
      state.blocked.delete(event.user)
      break
    case 'privacy.changed':
      state.lastSeen = event.lastSeen
      break
    case 'channel.followed':
      state.follows.add(event.c)
      break
    case 'channel.unfollowed':
      state.follows.delete(event.c)
      break
  }
  state.seq = event.seq
  state.stream = origin.stream
  state.streamSeq = origin.streamSeq
}

/** Version 2 of a user's snapshot, as JSON. */
interface SerialUser {
  readonly seq: number
  readonly stream: string
  readonly streamSeq: number
  /** Conversation, read, delivered. */
  readonly marks: [string, number, number][]
  readonly muted: string[]
  readonly blocked: string[]
  /** Not there: contacts. */
  readonly lastSeen?: LastSeenFor
  readonly follows: string[]
}

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true })

const serialise = (state: UserState): Uint8Array => {
  const { seq, stream, streamSeq, marks, muted, blocked, lastSeen, follows } = state
  const serial: SerialUser = {
    seq,
    stream,
    streamSeq,
    marks: Array.from(marks, ([c, { read, delivered }]) => [c, read, delivered]),
    muted: [...muted],
    blocked: [...blocked],
    lastSeen,
    follows: [...follows],
  }
  return encoder.encode(JSON.stringify(serial))
}

const deserialise = (user: string, bytes: Uint8Array): UserState => {
  const serial = JSON.parse(decoder.decode(bytes)) as SerialUser
  const { seq, stream, streamSeq, marks, muted, blocked, lastSeen = 'contacts', follows } = serial
  return {
    user,
    seq,
    stream,
    streamSeq,
    marks: new Map(marks.map(([c, read, delivered]) => [c, { read, delivered }])),
    muted: new Set(muted),
    blocked: new Set(blocked),
    lastSeen,
    follows: new Set(follows),
  }
}

export const userType: AggregateType<UserState, UserEvent> = {
  family: 'user',
  snapshotVersion: 2,
  empty: emptyUser,
  decode: decodeUserEvent,
  evolve: evolveUser,
  fork: state => ({
    ...state,
    marks: new Map(state.marks),
    muted: new Set(state.muted),
    blocked: new Set(state.blocked),
    follows: new Set(state.follows),
  }),
  serialise,
  deserialise,
  bytes: state =>
    600 + state.marks.size * 110 + (state.muted.size + state.blocked.size + state.follows.size) * 70,
}
