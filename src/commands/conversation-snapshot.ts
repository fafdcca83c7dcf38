import type { Kind, Posting, Role } from '../events/index.ts'
import type { ConversationState } from './conversation-state.ts'
import { deserialiseFilter, type SerialFilter, serialiseFilter } from './message-id-filter.ts'
import { deserialiseRecent, type RecentEvents, serialiseRecent } from './recent-events.ts'
import { deserialiseSlowMode, serialiseSlowMode } from './slow-mode.ts'

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
