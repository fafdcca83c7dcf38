import type { ConversationEvent } from '../../events/index.ts'
import type { TimelineEntry } from '../../projections/index.ts'

/** The last event that edited or deleted a message, and the last edit that changed its data. */
export interface LastChange {
  /** seq of the last edit or deletion. */
  readonly seq: number
  /** Undefined: the message is deleted. */
  readonly edit: Edited | undefined
  /** The last edit with `data`: `edit` or an earlier one. Undefined: no edit has changed the data. */
  readonly dataEdit: Edited | undefined
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

/** Returns a change as the last of its message. */
export const lastChange = (change: Edited | Deleted): LastChange => {
  const edit = change.type === 'message.edited' ? change : undefined
  return { seq: change.seq, edit, dataEdit: edit?.data === undefined ? undefined : edit }
}

/** Returns what is last of two: each may lack changes that the other has. */
export const lastOf = (
  one: LastChange | undefined,
  other: LastChange | undefined,
): LastChange | undefined => {
  if (one === undefined || other === undefined) return one ?? other
  const { seq, edit } = other.seq > one.seq ? other : one
  const isOthers = (other.dataEdit?.seq ?? 0) > (one.dataEdit?.seq ?? 0)
  return { seq, edit, dataEdit: isOthers ? other.dataEdit : one.dataEdit }
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
 * An edit that a later one replaced has the text and the data of the later ones, so that a client that applies the events
 * in any part shows the current content.
 */
export const withCurrentContent = (
  entry: TimelineEntry,
  event: Posted | Edited,
  last: LastChange | undefined,
): TimelineEntry => {
  if (last === undefined || last.seq <= entry.seq) return entry
  return { ...entry, data: Buffer.from(JSON.stringify(currentOf(event, last))) }
}

const currentOf = (event: Posted | Edited, { edit, dataEdit }: LastChange): object => {
  const given = event as unknown as Readonly<Record<string, unknown>>
  if (edit === undefined) {
    const kept: Record<string, unknown> = {}
    for (const name of remaining) if (given[name] !== undefined) kept[name] = given[name]
    return { ...kept, text: '', deleted: true }
  }
  const { data: own, ...rest } = given
  const data = dataEdit !== undefined && dataEdit.seq > event.seq ? dataEdit.data : own
  const isPost = event.type === 'message.posted'
  return {
    ...rest,
    text: edit.text,
    ...(isPost ? { editedAt: edit.at } : {}),
    // Null says that an edit removed the data. A message without data has no field.
    ...(data === undefined || (isPost && data === null) ? {} : { data }),
  }
}
