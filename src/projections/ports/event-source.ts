import type { Position, StoredEvent } from '../../events/index.ts'

/** Where projections and replays read the log from: whole streams, in order. Port. */
export interface EventSource {
  /** Every stream, with the sequence of its first and last event (last 0: empty). */
  streams(): Promise<readonly { stream: string; first: number; last: number }[]>
  /**
   * A stream's events after a sequence, in order, each once, in batches as they come (at most `batch` events, default 500); then follows the stream until
   * `signal` aborts. An empty batch says that the stream's end is reached for now. Reconnects by itself.
   */
  consume(
    stream: string,
    after: number,
    options: { signal: AbortSignal; batch?: number },
  ): AsyncIterable<readonly StoredEvent[]>
  /** As `consume`, but ends after sequence `until`. */
  range(stream: string, after: number, until: number): AsyncIterable<readonly StoredEvent[]>
  /**
   * An event, and what was stored of its aggregate after it, up to and with sequence `until` of its stream; in order. Nothing when the log does not have the event
   * (any more).
   */
  sequel(at: Position, until: number): AsyncIterable<readonly StoredEvent[]>
  /** The first sequence of a stream stored at or after a time; `last + 1` when there is none. */
  firstSince(stream: string, time: Date): Promise<number>
}

/** What an event that a projection could not take is filed under. */
export interface DeadLetter extends Position {
  readonly projection: string
  readonly reason: string
  readonly at: string
}

/** Where events go that a projection could not take. Port; JetStream's is the stream DEAD_LETTERS. */
export interface DeadLetters {
  /** Resolves when it is kept. The same letter may be published again: it is filed once by projection, stream and sequence. */
  publish(letter: DeadLetter, event: StoredEvent): Promise<void>
}
