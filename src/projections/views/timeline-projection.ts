import { wireBytes } from '../../events/index.ts'
import { noChanges, type Projection } from './projection.ts'

/**
 * The event edits or deletes a message. Key: (c, seq of the message); the highest seq wins, and the highest seq of those
 * that change the data.
 */
export interface Amendment {
  readonly m: string
  /** Undefined: an older version wrote the event, and the store finds the message by its id. */
  readonly messageSeq: number | undefined
  readonly isDeletion: boolean
  /** Whether the event replaces or removes the data of the application. */
  readonly changesData: boolean
}

/**
 * An event of a conversation is added to its timeline. The rows of events never change: an edit or a deletion has a row
 * of its own, and the reader applies it. Key: (c, seq).
 */
export interface TimelineChange {
  readonly c: string
  readonly seq: number
  readonly streamSeq: number
  /** The message that this event posts or deletes; undefined for other events. */
  readonly m?: string
  readonly amendment?: Amendment
  /** Ids of the files of the message that this event posts. */
  readonly media?: readonly string[]
  /** The event as the log has it. */
  readonly data: Uint8Array
}

/** Produces one row per event of a conversation, unchanged, and what is needed to read its current content. */
export const timelineProjection: Projection<TimelineChange> = {
  name: 'timeline',
  // Version 1 had no amendments and no files.
  version: 2,
  apply({ stored, event }) {
    if (stored.aggregate.family !== 'conv' || 'u' in event) return noChanges
    const { c, seq } = event
    const row = { c, seq, streamSeq: stored.streamSeq, data: wireBytes(stored) }
    switch (event.type) {
      case 'message.posted': {
        const { m, attachments } = event
        if (attachments === undefined) return [{ ...row, m }]
        return [{ ...row, m, media: [...new Set(attachments.map(({ mediaId }) => mediaId))] }]
      }
      case 'message.edited': {
        const { m, messageSeq } = event
        const changesData = event.data !== undefined
        return [{ ...row, amendment: { m, messageSeq, isDeletion: false, changesData } }]
      }
      case 'message.deleted': {
        const { m, messageSeq } = event
        return [{ ...row, m, amendment: { m, messageSeq, isDeletion: true, changesData: false } }]
      }
      default:
        return [row]
    }
  },
  applyUnknown({ aggregate, envelope, streamSeq, data }) {
    return [{ c: aggregate.id, seq: envelope.seq, streamSeq, data }]
  },
}
