import {
  type Appended,
  ConflictError,
  type EventLog,
  type NewEvent,
  type Snapshot,
  type SnapshotStore,
} from '../../commands/index.ts'
import {
  type AggregateRef,
  ConfabError,
  Family,
  type Position,
  type StoredEvent,
  streamOfPartition,
  subjectOf,
} from '../../events/index.ts'

/**
 * A fault of an append. `conflict`, `overloaded`: the log refuses it. `lost`: the log never receives it. `answer-lost`:
 * the log stores it, and the caller gets an error. `later`: the caller gets an error, and the log stores it some time
 * after.
 */
export type AppendFault = 'conflict' | 'overloaded' | 'lost' | 'answer-lost' | 'later'

const readBatch = 500
const maxEvents = 1_000

/** The event log in memory, for tests and for measurements without a server. */
export class MemoryEventLog implements EventLog {
  /** Called for each append. Tests set it. */
  fault: ((aggregate: AggregateRef, events: readonly NewEvent[]) => AppendFault | undefined) | undefined
  readonly #streams = new Map<string, StoredEvent[]>()
  readonly #subjects = new Map<string, StoredEvent[]>()
  readonly #ids = new Map<string, Position>()
  readonly #followers = new Set<(event: StoredEvent) => void>()
  readonly #remembersIds: boolean

  /**
   * `remembersIds`: whether the log recognises command ids that it holds (default). False: its duplicate window has
   * passed.
   */
  constructor({ remembersIds = true }: { remembersIds?: boolean } = {}) {
    this.#remembersIds = remembersIds
    for (const family of Object.values(Family)) this.#streams.set(streamOfFamily(family), [])
  }

  /** Returns the events of a stream in order. The stream sequence of an event is its index plus 1. */
  stream(name: string): readonly StoredEvent[] {
    return this.#streams.get(name) ?? []
  }

  streams(): IterableIterator<string> {
    return this.#streams.keys()
  }

  streamOf({ family }: AggregateRef): string {
    return streamOfFamily(family)
  }

  /**
   * Calls `listener` with each stored event before its append is answered. Returns a function that removes the
   * listener.
   */
  follow(listener: (event: StoredEvent) => void): () => void {
    this.#followers.add(listener)
    return () => this.#followers.delete(listener)
  }

  append(aggregate: AggregateRef, expected: number, events: readonly NewEvent[]): Promise<Appended> {
    const fault = this.fault?.(aggregate, events)
    switch (fault) {
      case undefined:
        return this.#tryAppend(aggregate, expected, events)
      case 'conflict':
        return Promise.reject(new ConflictError(subjectOf(aggregate), expected))
      case 'overloaded':
        return Promise.reject(new ConfabError('OVERLOADED'))
      case 'answer-lost':
        this.#tryAppend(aggregate, expected, events).catch(() => {})
        return Promise.reject(new ConfabError('UNAVAILABLE'))
      case 'later':
        setTimeout(() => this.#tryAppend(aggregate, expected, events).catch(() => {}), Math.random() * 20)
        return Promise.reject(new ConfabError('UNAVAILABLE'))
      case 'lost':
        return Promise.reject(new ConfabError('UNAVAILABLE'))
    }
  }

  last(aggregate: AggregateRef): Promise<StoredEvent | undefined> {
    return Promise.resolve(this.#subjects.get(subjectOf(aggregate))?.at(-1))
  }

  async *read(aggregate: AggregateRef, after: number): AsyncIterable<readonly StoredEvent[]> {
    const events = this.#subjects.get(subjectOf(aggregate)) ?? []
    let from = events.length
    while (from > 0 && events[from - 1]!.streamSeq > after) from--
    for (; from < events.length; from += readBatch) {
      const batch = events.slice(from, from + readBatch)
      yield batch
      if (batch.length < readBatch) return
    }
  }

  #tryAppend(aggregate: AggregateRef, expected: number, events: readonly NewEvent[]): Promise<Appended> {
    try {
      return Promise.resolve(this.#append(aggregate, expected, events))
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** Checks the expectation before the ids, as a single JetStream server does. */
  #append(aggregate: AggregateRef, expected: number, events: readonly NewEvent[]): Appended {
    if (events.length < 1 || events.length > maxEvents) throw new TypeError('an append has 1 to 1,000 events')
    const subject = subjectOf(aggregate)
    const stored = this.#subjects.get(subject) ?? []
    if ((stored.at(-1)?.streamSeq ?? 0) !== expected) throw new ConflictError(subject, expected)
    for (const { envelope } of events) {
      const position = this.#ids.get(envelope.commandId)
      if (position === undefined) continue
      if (events.length > 1) throw new ConflictError(subject, expected)
      return { position, duplicate: true }
    }
    const stream = this.streamOf(aggregate)
    const all = this.#streams.get(stream)!
    this.#subjects.set(subject, stored)
    for (const { envelope, data } of events) {
      const event = { stream, streamSeq: all.length + 1, aggregate, envelope, data }
      all.push(event)
      stored.push(event)
      if (this.#remembersIds) this.#ids.set(envelope.commandId, { stream, streamSeq: event.streamSeq })
      for (const follower of this.#followers) follower(event)
    }
    return { position: { stream, streamSeq: all.length }, duplicate: false }
  }
}

const streamOfFamily = (family: Family): string => streamOfPartition(family, 0, 1)

/** Snapshots in memory. */
export class MemorySnapshotStore implements SnapshotStore {
  readonly #snapshots = new Map<string, Snapshot>()

  load(aggregate: AggregateRef): Promise<Snapshot | undefined> {
    return Promise.resolve(this.#snapshots.get(subjectOf(aggregate)))
  }

  save(aggregate: AggregateRef, snapshot: Snapshot): Promise<void> {
    this.#snapshots.set(subjectOf(aggregate), snapshot)
    return Promise.resolve()
  }
}
