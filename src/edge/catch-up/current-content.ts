import type { ConversationEvent } from '../../events/index.ts'
import type { TimelineEntry } from '../../projections/index.ts'

/** The last event that edited or deleted a message. */
export interface LastChange {
  /** seq of the event. */
  readonly seq: number
  /** Undefined: the message is deleted. */
  readonly edit: Edited | undefined
}

export type Posted = Extract<ConversationEvent, { type: 'message.posted' }>
export type Edited = Extract<ConversationEvent, { type: 'message.edited' }>
type Deleted = Extract<ConversationEvent, { type: 'message.deleted' }>

/** The fields of an event that remain when its message is deleted. */
const remaining = ['t', 'c', 'seq', 'type', 'from', 'at', 'm', 'n', 'messageSeq'] as const

const decoder = new TextDecoder()

/** Returns an event that has the content of a message; undefined for all others. */
export const contentEventOf = ({ data }: TimelineEntry): Posted | Edited | undefined => {
  const event = parse(data)
  return event?.type === 'message.posted' || event?.type === 'message.edited' ? event : undefined
}

/** Returns an event that changes the content of a message; undefined for all others. */
export const changeOf = ({ data }: TimelineEntry): Edited | Deleted | undefined => {
  const event = parse(data)
  return event?.type === 'message.edited' || event?.type === 'message.deleted' ? event : undefined
}

/** Parses an event as the log has it. Returns undefined for an entry that this build cannot read. */
export const parse = (data: Uint8Array): ConversationEvent | undefined => {
  try {
    return JSON.parse(decoder.decode(data)) as ConversationEvent
  } catch {
    return undefined
  }
}

/**
 * Returns an entry with the current content of its message: as last edited, or without any when the message is deleted.
 * An edit that a later one replaced has the text of the later one, so that a client that applies the events in any part
 * shows the current text.
 */
export const withCurrentContent = (
  entry: TimelineEntry,
  event: Posted | Edited,
  last: LastChange | undefined,
): TimelineEntry => {
  if (last === undefined || last.seq <= entry.seq) return entry
  return { ...entry, data: Buffer.from(JSON.stringify(currentOf(event, last.edit))) }
}

const currentOf = (event: Posted | Edited, edit: Edited | undefined): object => {
  const given = event as unknown as Readonly<Record<string, unknown>>
  if (edit === undefined) {
    const kept: Record<string, unknown> = {}
    for (const name of remaining) if (given[name] !== undefined) kept[name] = given[name]
    return { ...kept, text: '', deleted: true }
  }
  const { data, ...rest } = {
    ...given,
    text: edit.text,
    ...(edit.data === undefined ? {} : { data: edit.data }),
  }
  const current = event.type === 'message.posted' ? { ...rest, editedAt: edit.at } : rest
  return data === undefined || (data === null && event.type === 'message.posted')
    ? current
    : { ...current, data }
}
