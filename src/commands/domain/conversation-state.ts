import {
  type ConversationEvent,
  decodeConversationEvent,
  type Kind,
  type Posting,
  type Role,
} from '../../events/index.ts'
import type { AggregateState, AggregateType, Origin } from './aggregate.ts'
import {
  addToFilter,
  deserialiseFilter,
  emptyFilter,
  filterBytes,
  forkFilter,
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

/** All that deciding needs to know of a conversation. `seq` 0: there is none. */
export interface ConversationState extends AggregateState {
  readonly c: string
  kind: Kind
  title: string | undefined
  /** In order of seniority: who has been in it longest comes first. */
  members: Map<string, Role>
  /** `members` is another state's as well: copy it before the first change. */
  sharesMembers: boolean
  posting: Posting
  /** Undefined: off. */
  slowMode: SlowMode | undefined
  /** Messages posted. */
  n: number
  /** Id of the command that created it: remembered for good, so that a repeated `create` is known. */
  creation: string
  readonly recent: RecentEvents
  /** Messages that `recent` has forgotten. */
  readonly seen: MessageIdFilter
}

export const emptyConversation = (c: string): ConversationState => ({
  c,
  seq: 0,
  stream: '',
  streamSeq: 0,
  kind: 'group',
  title: undefined,
  members: new Map(),
  sharesMembers: false,
  posting: 'everybody',
  slowMode: undefined,
  n: 0,
  creation: '',
  recent: noRecentEvents(),
  seen: emptyFilter(),
})

/** Takes the next event in, in place. Throws a RangeError for any but the next. */
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
        notePosted(state.slowMode, event)
      break
    case 'conversation.created':
      state.kind = event.kind
      state.title = event.title
      state.creation = origin.commandId
      state.members = new Map(event.members.map(({ user, role }) => [user, role]))
      state.sharesMembers = false
      break
    case 'conversation.renamed':
      state.title = event.title
      break
    case 'conversation.settings_changed':
      state.posting = event.posting
      state.slowMode = slowModeOf(event.slowModeSeconds, state.slowMode)
      break
    case 'member.joined':
    case 'member.role_changed':
      membersToChange(state).set(event.user, event.role)
      break
    case 'member.left': {
      const members = membersToChange(state)
      members.delete(event.user)
      if (event.successor !== undefined) members.set(event.successor, 'owner')
      break
    }
  }
  // Only what is forgotten: an id that is younger than all of that, as a new one is, then needs no look-up, for certain.
  const forgotten = remember(state.recent, event, origin.commandId)
  if (forgotten !== undefined) addToFilter(state.seen, forgotten)
  state.seq = event.seq
  state.stream = origin.stream
  state.streamSeq = origin.streamSeq
}

/** Whoever is not in `members` follows the channel. */
const isStaff = (role: Role | undefined): boolean => role === 'owner' || role === 'admin'

const membersToChange = (state: ConversationState): Map<string, Role> => {
  if (state.sharesMembers) {
    state.members = new Map(state.members)
    state.sharesMembers = false
  }
  return state.members
}

/**
 * A state to try events out on. The members are copied only when an event changes them; the original must not evolve for as long as the fork is used.
 */
export const forkConversation = (state: ConversationState, events: number): ConversationState => ({
  ...state,
  sharesMembers: true,
  slowMode: forkSlowMode(state.slowMode),
  recent: forkRecent(state.recent, events),
  seen: forkFilter(state.seen),
})

/** Averages measured with Node 24: a member, or what slow mode knows of one; a remembered event. */
const memberBytes = 64
const recentBytes = 230

/** Version 2 of a conversation's snapshot, as JSON. */
interface SerialConversation {
  readonly seq: number
  readonly stream: string
  readonly streamSeq: number
  readonly kind: Kind
  readonly title?: string | undefined
  /** User and role, the longest-standing first. */
  readonly members: [string, Role][]
  readonly posting: Posting
  readonly slowMode?: ReturnType<typeof serialiseSlowMode> | undefined
  readonly n: number
  readonly creation: string
  readonly recent: ReturnType<typeof serialiseRecent>
  readonly capacity: RecentEvents['capacity']
  readonly seen: SerialFilter
}

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true })

export const serialiseConversation = (state: ConversationState): Uint8Array => {
  const { seq, stream, streamSeq, kind, title, n, creation } = state
  const serial: SerialConversation = {
    seq,
    stream,
    streamSeq,
    kind,
    title,
    members: [...state.members],
    posting: state.posting,
    slowMode: state.slowMode && serialiseSlowMode(state.slowMode),
    n,
    creation,
    recent: serialiseRecent(state.recent),
    capacity: state.recent.capacity,
    seen: serialiseFilter(state.seen),
  }
  return encoder.encode(JSON.stringify(serial))
}

export const deserialiseConversation = (c: string, bytes: Uint8Array): ConversationState => {
  const serial = JSON.parse(decoder.decode(bytes)) as SerialConversation
  const { seq, stream, streamSeq, kind, title, n, creation } = serial
  return {
    c,
    seq,
    stream,
    streamSeq,
    kind,
    title,
    members: new Map(serial.members),
    sharesMembers: false,
    posting: serial.posting,
    slowMode: serial.slowMode && deserialiseSlowMode(serial.slowMode),
    n,
    creation,
    recent: deserialiseRecent(serial.recent, serial.capacity),
    seen: deserialiseFilter(serial.seen),
  }
}

export const conversationType: AggregateType<ConversationState, ConversationEvent> = {
  family: 'conv',
  snapshotVersion: 2,
  empty: emptyConversation,
  decode: decodeConversationEvent,
  evolve: evolveConversation,
  fork: forkConversation,
  serialise: serialiseConversation,
  deserialise: deserialiseConversation,
  bytes: state =>
    1300 +
    (state.members.size + (state.slowMode?.posted.size ?? 0)) * memberBytes +
    Math.min(state.seq, state.recent.capacity) * recentBytes +
    filterBytes(state.seen),
}
