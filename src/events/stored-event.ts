import type { Envelope } from './envelope.ts'
import type { AggregateRef } from './subjects.ts'

/** A place in the log. Sequences start at 1, count every event of the stream, and are kept when a mirror is promoted. */
export interface Position {
  readonly stream: string
  readonly streamSeq: number
}

/** One event as the log holds it. `data` is the body: UTF-8 JSON, for a conversation's event byte for byte what clients get. */
export interface StoredEvent extends Position {
  readonly aggregate: AggregateRef
  readonly envelope: Envelope
  readonly data: Uint8Array
}
