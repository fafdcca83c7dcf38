import { noChanges, type Projection } from './projection.ts'

/** A message can be found. Key: (c, m). */
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

/** A message is found by another text, or not any more. Key: (c, m); the greatest seq stands. */
export interface SearchAmended {
  readonly kind: 'amended'
  readonly c: string
  readonly m: string
  readonly seq: number
  /** null: deleted. */
  readonly text: string | null
}

export type SearchChange = SearchPosted | SearchAmended

/** The messages as they stand, to be found by their words. */
export const searchProjection: Projection<SearchChange> = {
  name: 'search',
  // 2: no variation selectors among the words.
  version: 2,
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
