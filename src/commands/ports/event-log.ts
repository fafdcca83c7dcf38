import type { AggregateRef, Envelope, Position, StoredEvent } from '../../events/index.ts'

/** An event to append. */
export interface NewEvent {
  readonly envelope: Envelope
  /** The body, UTF-8 JSON. */
  readonly data: Uint8Array
}

export interface Appended {
  /** Position of the last event. */
  readonly position: Position
  /** The log already holds these events: it has the same command id in its duplicate window. Nothing was appended. */
  readonly duplicate: boolean
}

/**
 * The append-only log: one ordered sequence of events for each aggregate. Port; adapters are JetStream, and memory
 * for tests. Contract: test/contracts/event-log.ts.
 */
export interface EventLog {
  /** Returns the name of the stream that holds an aggregate. The name is another one after a mirror was promoted. */
  streamOf(aggregate: AggregateRef): string
  /**
   * Appends 1 to 1,000 events, all or none. The last message on the aggregate's subject must have stream sequence
   * `expected`; 0 means none. Rejects with ConflictError when it has another one; with ConfabError OVERLOADED when
   * the log applies back-pressure, and nothing was appended; with ConfabError UNAVAILABLE when no answer arrived. The
   * events may be in the log then, and the same call may be repeated.
   */
  append(aggregate: AggregateRef, expected: number, events: readonly NewEvent[]): Promise<Appended>
  /**
   * Returns the last message on the aggregate's subject, from the stream leader. It may be foreign: see `isForeign`.
   */
  last(aggregate: AggregateRef): Promise<StoredEvent | undefined>
  /** Returns the aggregate's events after a stream sequence, in order, in batches. Skips foreign messages. */
  read(aggregate: AggregateRef, after: number): AsyncIterable<readonly StoredEvent[]>
}

/**
 * Thrown when an append expected another sequence: the log holds events that the decision did not see. Decide again
 * then.
 */
export class ConflictError extends Error {
  static is = (error: unknown): error is ConflictError => error instanceof ConflictError

  constructor(subject: string, expected: number) {
    super(`the last sequence of ${subject} is not ${expected}`)
    this.name = 'ConflictError'
  }
}

/** A serialised state, so that loading an aggregate need not read all of its events. */
export interface Snapshot {
  /** Format version of `data`. Readers ignore a version that they do not know. */
  readonly version: number
  /** Stream sequence of the last event in the state. */
  readonly streamSeq: number
  readonly data: Uint8Array
}

/** Stores the newest snapshot of each aggregate. A lost snapshot costs time, not data. */
export interface SnapshotStore {
  load(aggregate: AggregateRef): Promise<Snapshot | undefined>
  save(aggregate: AggregateRef, snapshot: Snapshot): Promise<void>
}
