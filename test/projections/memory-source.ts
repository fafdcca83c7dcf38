import { EventEmitter, once } from 'node:events'
import type { Position, StoredEvent } from '../../src/events/index.ts'
import type { EventSource, StreamBounds } from '../../src/projections/index.ts'

/**
 * A log in memory with growing streams. `sizes` gives the sizes of the next batches; without it, batches are as large
 * as allowed.
 */
export class MemorySource implements EventSource {
  readonly #streams = new Map<string, StoredEvent[]>()
  readonly #grown = new EventEmitter().setMaxListeners(100)
  readonly #sizes: readonly number[]
  #turn = 0
  /** The next reads throw it while it is set. */
  failure: Error | undefined

  constructor(streams: Record<string, readonly StoredEvent[]>, sizes: readonly number[] = []) {
    for (const [stream, events] of Object.entries(streams)) this.#streams.set(stream, [...events])
    this.#sizes = sizes
  }

  push(...events: readonly StoredEvent[]): void {
    for (const event of events) this.#streams.get(event.stream)?.push(event)
    this.#grown.emit('grown')
  }

  /** Loses the last events of a stream, as a stream that was restored from an older copy. */
  truncate(stream: string, events: number): void {
    this.#streams.get(stream)?.splice(-events)
  }

  async streams(): Promise<StreamBounds[]> {
    return [...this.#streams].map(([stream, events]) => ({
      stream,
      first: events[0]?.streamSeq ?? 0,
      last: events.at(-1)?.streamSeq ?? 0,
      missing: (events.at(-1)?.streamSeq ?? 0) - events.length,
    }))
  }

  async *consume(
    stream: string,
    after: number,
    { signal, batch = 500 }: { signal: AbortSignal; batch?: number },
  ): AsyncIterable<readonly StoredEvent[]> {
    const events = this.#streams.get(stream) ?? []
    let next = events.findIndex(({ streamSeq }) => streamSeq > after)
    if (next < 0) next = events.length
    while (!signal.aborted) {
      if (this.failure !== undefined) throw this.failure
      const size = Math.min(batch, this.#sizes[this.#turn++ % this.#sizes.length] ?? batch)
      const events_ = events.slice(next, next + size)
      next += events_.length
      yield events_
      if (next >= events.length && !signal.aborted)
        await once(this.#grown, 'grown', { signal }).catch(() => {})
    }
  }

  async *range(stream: string, after: number, until: number): AsyncIterable<readonly StoredEvent[]> {
    yield (this.#streams.get(stream) ?? []).filter(({ streamSeq }) => streamSeq > after && streamSeq <= until)
  }

  async *sequel({ stream, streamSeq }: Position, until: number): AsyncIterable<readonly StoredEvent[]> {
    const events = this.#streams.get(stream) ?? []
    const first = events.find(event => event.streamSeq === streamSeq)
    if (first === undefined) return
    const { family, id } = first.aggregate
    yield events.filter(
      event =>
        event.streamSeq >= streamSeq &&
        event.streamSeq <= until &&
        event.aggregate.family === family &&
        event.aggregate.id === id,
    )
  }

  async firstSince(): Promise<number> {
    return 1
  }
}
