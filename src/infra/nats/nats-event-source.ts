import type { StoredEvent } from '../../events/index.ts'
import type { EventSource } from '../../projections/index.ts'
import type { Nats } from './connection.ts'
import type { LogLayout } from './log-layout.ts'
import { LogReader } from './log-reader.ts'
import { OrderedConsumer } from './ordered-consumer.ts'
import { ReplyInbox } from './reply-inbox.ts'

const defaultBatch = 500
/** Of a range nobody waits for single events: more may be under way at once. */
const rangeBatch = 4_096

/**
 * Whole streams in order. A message that is none of confab's comes with the envelope type '': whoever decodes it finds it malformed and can file it; nothing
 * stops here.
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

  streams(): Promise<readonly { stream: string; first: number; last: number }[]> {
    return Promise.all(
      this.#layout.streams.map(async stream => ({ stream, ...(await this.#reader.bounds(stream)) })),
    )
  }

  async *consume(
    stream: string,
    after: number,
    { signal, batch = defaultBatch }: { signal: AbortSignal; batch?: number },
  ): AsyncIterable<readonly StoredEvent[]> {
    if (signal.aborted) return
    const consumer = new OrderedConsumer(this.#nats, stream, after, 2 * batch)
    const stop = (): void => consumer.stop()
    signal.addEventListener('abort', stop)
    try {
      for (;;) {
        const events = await consumer.next(batch)
        if (signal.aborted) return
        yield events
      }
    } finally {
      signal.removeEventListener('abort', stop)
      consumer.stop()
    }
  }

  async *range(stream: string, after: number, until: number): AsyncIterable<readonly StoredEvent[]> {
    // An empty stream ends at 0.
    if (until < 1 || after >= until) return
    let position = after
    for await (const events of this.consume(stream, after, {
      signal: new AbortController().signal,
      batch: rangeBatch,
    })) {
      const wanted =
        (events.at(-1)?.streamSeq ?? 0) <= until ? events : events.filter(event => event.streamSeq <= until)
      if (wanted.length > 0) yield wanted
      position = events.at(-1)?.streamSeq ?? position
      if (position >= until) return
      if (events.length === 0 && !(await this.#hasMore(stream, position, until))) return
    }
  }

  /** The consumer's own replica may be behind its leader; and the last sequences may have been deleted. */
  async #hasMore(stream: string, position: number, until: number): Promise<boolean> {
    const next = await this.#reader.leader(stream, { seq: position + 1, next_by_subj: '>' })
    return next !== undefined && next.streamSeq <= until
  }

  async firstSince(stream: string, time: Date): Promise<number> {
    const [event] = await this.#reader.batch(stream, { start_time: time.toISOString(), batch: 1 })
    if (event !== undefined) return event.streamSeq
    return (await this.#reader.bounds(stream)).last + 1
  }

  close(): void {
    this.#inbox.close()
  }
}
