import { type Appended, ConflictError, type EventLog, type NewEvent } from '../../commands/index.ts'
import {
  type AggregateRef,
  ConfabError,
  type Position,
  type StoredEvent,
  streamOfPartition,
  subjectOf,
} from '../../events/index.ts'

/**
 * What can befall an append: it is refused as `conflict` or `overloaded`; it is `lost` before it reaches the log; it is stored, but the `answer` is lost; it is
 * reported as lost and yet reaches the log some time `later`.
 */
export type AppendFault = 'conflict' | 'overloaded' | 'lost' | 'answer-lost' | 'later'

/** The log in memory: for tests of what stands on it, and for measuring that without a server. */
export class MemoryEventLog implements EventLog {
  /** Asked at each append; tests set it. */
  fault: ((aggregate: AggregateRef, events: readonly NewEvent[]) => AppendFault | undefined) | undefined
  readonly #streams = new Map<string, StoredEvent[]>()
  readonly #subjects = new Map<string, StoredEvent[]>()
  readonly #ids = new Map<string, Position>()
  readonly #followers = new Set<(event: StoredEvent) => void>()

  readonly #remembersIds: boolean

  /** `remembersIds`: whether it recognises a command id that it holds (default), or is a log whose duplicate window has passed. */
  constructor({ remembersIds = true }: { remembersIds?: boolean } = {}) {
    this.#remembersIds = remembersIds
    for (const family of ['conv', 'user'] as const) this.#streams.set(streamOfPartition(family, 0, 1), [])
  }

  /** Every event of a stream in order; an event's stream sequence is its index plus 1. */
  stream(name: string): readonly StoredEvent[] {
    return this.#streams.get(name) ?? []
  }

  streams(): IterableIterator<string> {
    return this.#streams.keys()
  }

  /** Calls `listener` with each event as it is stored, before its append is answered. Returns what ends that. */
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
    for (; from < events.length; from += 500) {
      const batch = events.slice(from, from + 500)
      yield batch
      if (batch.length < 500) return
    }
  }

  #tryAppend(aggregate: AggregateRef, expected: number, events: readonly NewEvent[]): Promise<Appended> {
    try {
      return Promise.resolve(this.#append(aggregate, expected, events))
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** As a single JetStream server does it: the expectation first, then the ids. */
  #append(aggregate: AggregateRef, expected: number, events: readonly NewEvent[]): Appended {
    if (events.length < 1 || events.length > 1000) throw new TypeError('an append has 1 to 1,000 events')
    const subject = subjectOf(aggregate)
    const stored = this.#subjects.get(subject) ?? []
    if ((stored.at(-1)?.streamSeq ?? 0) !== expected) throw new ConflictError(subject, expected)
    for (const { envelope } of events) {
      const position = this.#ids.get(envelope.commandId)
      if (position === undefined) continue
      if (events.length > 1) throw new ConflictError(subject, expected)
      return { position, duplicate: true }
    }
    const stream = streamOfPartition(aggregate.family, 0, 1)
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
