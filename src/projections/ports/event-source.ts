import type { Position, StoredEvent } from '../../events/index.ts'

/** The part of a stream that the log holds. */
export interface StreamBounds {
  readonly stream: string
  /** Sequence of the first event. */
  readonly first: number
  /** Sequence of the last event; 0 for an empty stream. */
  readonly last: number
  /** Messages that the stream has stored and lacks now. */
  readonly missing: number
  /**
   * The end of the stream's part in another stream, for a stream that was added when partitions moved. The other stream
   * has every earlier event, so a view applies it up to there first.
   */
  readonly origin?: Position
}

/** Reads whole streams of the log in order, for projections and replays. Port. */
export interface EventSource {
  streams(): Promise<readonly StreamBounds[]>
  /**
   * Yields a stream's events after a sequence: in order, each once, in batches of at most `batch` events (default
   * 500). Follows the stream until `signal` aborts. An empty batch means that the current end is reached. Reconnects
   * automatically.
   */
  consume(
    stream: string,
    after: number,
    options: { signal: AbortSignal; batch?: number },
  ): AsyncIterable<readonly StoredEvent[]>
  /** As `consume`, but ends after sequence `until`. */
  range(stream: string, after: number, until: number): AsyncIterable<readonly StoredEvent[]>
  /**
   * Yields an event and the later events of its aggregate, in order, up to and including sequence `until` of the
   * stream; up to the end of the log for an aggregate that moved to another stream since. Yields nothing when the log
   * no longer has the event.
   */
  sequel(at: Position, until: number): AsyncIterable<readonly StoredEvent[]>
  /** Returns the first sequence stored at or after a time, or `last + 1`. */
  firstSince(stream: string, time: Date): Promise<number>
}

/** Describes an event that a projection could not apply. */
export interface DeadLetter extends Position {
  readonly projection: string
  readonly reason: string
  readonly at: string
}

/** Stores events that a projection could not apply. Port; the JetStream adapter uses the stream DEAD_LETTERS. */
export interface DeadLetters {
  /**
   * Resolves when the letter is stored. Publishing the same letter again has no effect: its key is projection, stream
   * and sequence.
   */
  publish(letter: DeadLetter, event: StoredEvent): Promise<void>
}
