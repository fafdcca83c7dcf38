import type { AggregateRef, Envelope, Position, StoredEvent } from '../../events/index.ts'

/** An event that is not in the log yet. */
export interface NewEvent {
  readonly envelope: Envelope
  /** UTF-8 JSON. */
  readonly data: Uint8Array
}

export interface Appended {
  /** Where the last of the events stands. */
  readonly position: Position
  /** The log already held these events (same command id, within its duplicate window): nothing was appended. */
  readonly duplicate: boolean
}

/**
 * The append-only log, one ordered sequence of events an aggregate. Port: JetStream in production, memory in tests; both pass test/contracts/event-log.ts.
 */
export interface EventLog {
  /** Returns the name of the stream that holds an aggregate. The name is another one after a mirror was promoted. */
  streamOf(aggregate: AggregateRef): string
  /**
   * Appends all of `events` or none, right after the event at stream sequence `expected` (0: the aggregate has none). 1 to 1,000 events.
   * Rejects with ConflictError when something else stands there; ConfabError OVERLOADED when the log pushes back (nothing was appended);
   * ConfabError UNAVAILABLE when no answer came: it may have been appended or not, and the same call may be made again.
   */
  append(aggregate: AggregateRef, expected: number, events: readonly NewEvent[]): Promise<Appended>
  /** The aggregate's last event, as the stream's leader knows it. */
  last(aggregate: AggregateRef): Promise<StoredEvent | undefined>
  /** The aggregate's events after a stream sequence, in order, in batches. */
  read(aggregate: AggregateRef, after: number): AsyncIterable<readonly StoredEvent[]>
}

/** An append met an event that its decision did not know of. The only error that is retried by deciding again. */
export class ConflictError extends Error {
  static is = (error: unknown): error is ConflictError => error instanceof ConflictError

  constructor(subject: string, expected: number) {
    super(`${subject} has moved on from ${expected}`)
    this.name = 'ConflictError'
  }
}

/** A state at an event, so that a cold aggregate needs not be read from its start. */
export interface Snapshot {
  /** Schema version of `data`; a reader ignores a version that it does not know. */
  readonly version: number
  /** Stream sequence of the last event that it holds. */
  readonly streamSeq: number
  readonly data: Uint8Array
}

/** Keeps the newest snapshot of each aggregate. A cache: losing one costs time only. */
export interface SnapshotStore {
  load(aggregate: AggregateRef): Promise<Snapshot | undefined>
  save(aggregate: AggregateRef, snapshot: Snapshot): Promise<void>
}
