import { isForeign, type Position, type StoredEvent, subjectOf } from '../../../events/index.ts'
import type { EventSource, StreamBounds } from '../../../projections/index.ts'
import type { Nats } from '../client/connection.ts'
import { ReplyInbox } from '../client/connection.ts'
import { hasStored, type LogLayout } from './log-layout.ts'
import { LogReader } from './log-reader.ts'
import { readerOf } from './open-reader.ts'
import { asMarker } from './stored-message.ts'

const defaultBatch = 500
/** Events in one batch of a range. Larger than the default: a range is read for throughput, not for latency. */
const rangeBatch = 4_096

/**
 * Reads whole streams in order. A message that confab did not write has the envelope type '': decoding it fails, and
 * the projection can file it as a dead letter.
 */
export class NatsEventSource implements EventSource {
  readonly #nats: Nats
  readonly #layout: LogLayout
  readonly #inbox: ReplyInbox
  readonly #reader: LogReader

  constructor(nats: Nats, layout: LogLayout) {
    this.#nats = nats
    this.#layout = layout
    this.#inbox = new ReplyInbox(nats, 5_000)
    this.#reader = new LogReader(nats, this.#inbox)
  }

  streams(): Promise<readonly StreamBounds[]> {
    return Promise.all(
      this.#layout.streams.map(async stream => {
        const { first, last, missing } = await this.#reader.bounds(stream)
        const origin = this.#layout.originOf(stream)
        return origin === undefined
          ? { stream, first, last, missing }
          : { stream, first: Math.max(first, origin.streamSeq + 1), last, missing, origin }
      }),
    )
  }

  async *consume(
    stream: string,
    after: number,
    { signal, batch = defaultBatch }: { signal: AbortSignal; batch?: number },
  ): AsyncIterable<readonly StoredEvent[]> {
    if (signal.aborted) return
    const open = await readerOf(this.#nats, stream)
    if (signal.aborted) return
    const reader = open(stream, this.#startOf(stream, after), 2 * batch)
    const stop = (): void => reader.stop()
    signal.addEventListener('abort', stop)
    try {
      for (;;) {
        const events = await reader.next(batch)
        if (signal.aborted) return
        yield this.#withoutCopies(stream, events)
      }
    } finally {
      signal.removeEventListener('abort', stop)
      reader.stop()
    }
  }

  async *range(stream: string, after: number, until: number): AsyncIterable<readonly StoredEvent[]> {
    // The last sequence of an empty stream is 0.
    if (until < 1 || after >= until) return
    let position = this.#startOf(stream, after)
    if (position >= until) return
    for await (const events of this.consume(stream, after, {
      signal: new AbortController().signal,
      batch: rangeBatch,
    })) {
      const inRange =
        (events.at(-1)?.streamSeq ?? 0) <= until ? events : events.filter(event => event.streamSeq <= until)
      if (inRange.length > 0) yield inRange
      position = events.at(-1)?.streamSeq ?? position
      if (position >= until) return
      if (events.length === 0 && !(await this.#hasMore(stream, position, until))) return
    }
  }

  /** Makes copies of other streams' events markers: readers pass their sequences. */
  #withoutCopies(stream: string, events: readonly StoredEvent[]): readonly StoredEvent[] {
    if (this.#layout.originOf(stream) === undefined) return events
    return events.map(event =>
      isForeign(event) || hasStored(this.#layout, stream, event.aggregate) ? event : asMarker(event),
    )
  }

  /** Events up to the origin are read from the origin. */
  #startOf(stream: string, after: number): number {
    return Math.max(after, this.#layout.originOf(stream)?.streamSeq ?? 0)
  }

  /** The replica that was read may be behind the leader, or the last messages may be deleted. */
  async #hasMore(stream: string, position: number, until: number): Promise<boolean> {
    const next = await this.#reader.leader(stream, { seq: position + 1, next_by_subj: '>' })
    return next !== undefined && next.streamSeq <= until
  }

  async *sequel({ stream, streamSeq }: Position, until: number): AsyncIterable<readonly StoredEvent[]> {
    const event = await this.#reader.leader(stream, { seq: streamSeq, next_by_subj: '>' })
    if (event?.streamSeq !== streamSeq) return
    // The first batch contains the event itself.
    let first = [event]
    // A message that confab did not write belongs to no aggregate.
    if (!isForeign(event))
      for await (const events of this.#laterThan(event, until)) {
        yield [...first, ...events]
        first = []
      }
    if (first.length > 0) yield first
  }

  /** The later events of an aggregate. Where its partition has moved, they are in another stream, up to its end. */
  async *#laterThan(event: StoredEvent, until: number): AsyncIterable<readonly StoredEvent[]> {
    const { stream, streamSeq, aggregate } = event
    const holder = this.#layout.streamOf(aggregate)
    const end = holder === stream ? until : (await this.#reader.bounds(holder)).last
    yield* this.#ofSubject(holder, subjectOf(aggregate), streamSeq, end)
  }

  async *#ofSubject(
    stream: string,
    next_by_subj: string,
    after: number,
    until: number,
  ): AsyncIterable<readonly StoredEvent[]> {
    for (let seq = after + 1; seq <= until; ) {
      let found = await this.#reader.batch(stream, { seq, next_by_subj, batch: defaultBatch })
      if (found.length === 0) {
        // The replica may be behind the leader.
        const next = await this.#reader.leader(stream, { seq, next_by_subj })
        if (next === undefined) return
        found = [next]
      }
      seq = (found.at(-1)?.streamSeq ?? until) + 1
      const events = found.filter(one => one.streamSeq <= until)
      if (events.length > 0) yield events
    }
  }

  async firstSince(stream: string, time: Date): Promise<number> {
    const [event] = await this.#reader.batch(stream, { start_time: time.toISOString(), batch: 1 })
    if (event !== undefined) return Math.max(event.streamSeq, this.#startOf(stream, 0) + 1)
    return (await this.#reader.bounds(stream)).last + 1
  }

  close(): void {
    this.#inbox.close()
  }
}
