import { noChanges, type Projection } from './projection.ts'

/** A message becomes searchable. Key: (c, m). */
export interface SearchPosted {
  readonly kind: 'posted'
  readonly c: string
  readonly m: string
  readonly seq: number
  readonly streamSeq: number
  readonly from: string
  readonly at: string
  readonly text: string
  readonly media: boolean
}

/** The searchable text of a message changed or was removed. Key: (c, m); the highest seq wins. */
export interface SearchAmended {
  readonly kind: 'amended'
  readonly c: string
  readonly m: string
  readonly seq: number
  /** null: deleted. */
  readonly text: string | null
}

export type SearchChange = SearchPosted | SearchAmended

/** Produces the current text of each message for the search index. */
export const searchProjection: Projection<SearchChange> = {
  name: 'search',
  // Increased when the words change (search-letters.ts, search-words.ts): the rows of older versions hold other words.
  version: 3,
  apply({ stored, event }) {
    switch (event.type) {
      case 'message.posted': {
        const { c, m, seq, from, at, text } = event
        const media = (event.attachments?.length ?? 0) > 0
        return [{ kind: 'posted', c, m, seq, streamSeq: stored.streamSeq, from, at, text, media }]
      }
      case 'message.edited':
        return [{ kind: 'amended', c: event.c, m: event.m, seq: event.seq, text: event.text }]
      case 'message.deleted':
        return [{ kind: 'amended', c: event.c, m: event.m, seq: event.seq, text: null }]
      default:
        return noChanges
    }
  },
}
