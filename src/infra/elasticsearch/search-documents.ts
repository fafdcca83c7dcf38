import { fnv1a32 } from '../../events/index.ts'
import {
  ChangeRejectedError,
  type SearchAmended,
  type SearchChange,
  type SearchPosted,
} from '../../projections/index.ts'
import { indexWords } from './search-mapping.ts'
import type { Part } from './search-parts.ts'

/** A message as the index stores it, without its words. */
export interface SearchSource {
  readonly c: string
  readonly m: string
  readonly seq: number
  /** ms since 1970. */
  readonly time: number
  /** Orders messages of one millisecond: in log order within a stream, and never equal. */
  readonly place: number
  readonly from: string
  readonly at: string
  readonly media: boolean
  /** Missing: deleted. */
  readonly text?: string
}

export const idOf = ({ c, m }: { c: string; m: string }): string => `${c}/${m}`

/** The changes of a batch to one message. */
export interface MessageChanges {
  posted?: SearchPosted
  /** The newest amendment. */
  amended?: SearchAmended
}

/** Groups the changes of a batch by message, so each message is written once. */
export const byMessage = (changes: readonly SearchChange[]): Map<string, MessageChanges> => {
  const messages = new Map<string, MessageChanges>()
  for (const change of changes) {
    const id = idOf(change)
    const known = messages.get(id) ?? {}
    messages.set(id, known)
    if (change.kind === 'posted') known.posted = change
    else if (change.seq > (known.amended?.seq ?? 0)) known.amended = change
  }
  return messages
}

/** 20 bits of the stream sequence and 32 of the conversation: an integer that JSON represents exactly. */
const cursorOf = ({ streamSeq, c }: SearchPosted): number => (streamSeq % 2 ** 20) * 2 ** 32 + fnv1a32(c)

/** Throws ChangeRejectedError when the message has no valid time. */
export const sourceOf = (posted: SearchPosted): SearchSource => {
  const { c, m, seq, from, at, media, text } = posted
  const time = Date.parse(at)
  if (Number.isNaN(time)) throw new ChangeRejectedError(`${at} is not a time`)
  return { c, m, seq, time, place: cursorOf(posted), from, at, media, text }
}

/** Returns the source with another text, or without text. */
export const amendedSource = (source: SearchSource, { text }: SearchAmended): SearchSource => {
  const { text: _, ...rest } = source
  return text === null ? rest : { ...rest, text }
}

/**
 * Returns the bulk lines that store a message unless a newer version exists. `version`: seq of the event that set its
 * text.
 */
export const bulkLines = (part: Part, source: SearchSource, version: number): string => {
  const text = source.text?.toWellFormed()
  const action = {
    index: {
      _index: part.target,
      _id: idOf(source),
      routing: source.c,
      version,
      version_type: 'external',
    },
  }
  const document = text === undefined ? source : { ...source, text, words: indexWords(text) }
  return `${JSON.stringify(action)}\n${JSON.stringify(document)}\n`
}
