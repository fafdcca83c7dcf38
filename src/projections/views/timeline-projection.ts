import { wireBytes } from '../../events/index.ts'
import { noChanges, type Projection } from './projection.ts'

/** An event of a conversation is added to its timeline. Rows never change. Key: (c, seq). */
export interface TimelineChange {
  readonly c: string
  readonly seq: number
  readonly streamSeq: number
  /** The message that this event posts or deletes; undefined for other events. */
  readonly m?: string
  /** The event as clients receive it. */
  readonly data: Uint8Array
}

/** Produces one row per event of a conversation, unchanged. */
export const timelineProjection: Projection<TimelineChange> = {
  name: 'timeline',
  version: 1,
  apply({ stored, event }) {
    if (stored.aggregate.family !== 'conv' || 'u' in event) return noChanges
    const { c, seq } = event
    const row = { c, seq, streamSeq: stored.streamSeq, data: wireBytes(stored) }
    return event.type === 'message.posted' || event.type === 'message.deleted'
      ? [{ ...row, m: event.m }]
      : [row]
  },
  applyUnknown({ aggregate, envelope, streamSeq, data }) {
    return [{ c: aggregate.id, seq: envelope.seq, streamSeq, data }]
  },
}
