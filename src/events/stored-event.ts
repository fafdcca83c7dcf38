import type { Envelope } from './envelope.ts'
import type { AggregateRef, Family } from './subjects.ts'

/**
 * A position in the log. Stream sequences start at 1, count every message of the stream, and stay the same when a mirror
 * is promoted. The name of the stream does not: a promoted mirror has a name of its own.
 */
export interface Position {
  readonly stream: string
  readonly streamSeq: number
}

/**
 * How far a process has followed one stream, and the family of aggregates that the stream holds. Use `family` to tell
 * streams apart, never their names.
 */
export interface StreamPosition extends Position {
  readonly family: Family
}

/** One event as the log holds it. `data` is the body: UTF-8 JSON, for a conversation's event byte for byte what clients get. */
export interface StoredEvent extends Position {
  readonly aggregate: AggregateRef
  readonly envelope: Envelope
  readonly data: Uint8Array
}
