import { setTimeout as sleep } from 'node:timers/promises'
import type { StoredEvent } from '../../events/index.ts'
import type { EventSource } from '../../projections/index.ts'
import type { Nats } from './connection.ts'
import type { LogLayout } from './log-layout.ts'
import { LogReader } from './log-reader.ts'
import { ReplyInbox } from './reply-inbox.ts'

const defaultBatch = 500
const maxBytes = 4 * 1024 * 1024
const idleMs = 25

/** Whole streams in order, by direct get. */
export class NatsEventSource implements EventSource {
  readonly #layout: LogLayout
  readonly #inbox: ReplyInbox
  readonly #reader: LogReader

  constructor(nats: Nats, layout: LogLayout) {
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
    let position = after
    let isAtEnd = false
    while (!signal.aborted) {
      let events: StoredEvent[]
      try {
        events = await this.#reader.batch(stream, { seq: position + 1, batch, max_bytes: maxBytes })
      } catch {
        await sleep(200, undefined, { signal }).catch(() => {})
        continue
      }
      if (events.length > 0 || !isAtEnd) yield events
      isAtEnd = events.length === 0
      position = events.at(-1)?.streamSeq ?? position
      if (isAtEnd) await sleep(idleMs, undefined, { signal }).catch(() => {})
    }
  }

  async *range(stream: string, after: number, until: number): AsyncIterable<readonly StoredEvent[]> {
    let position = after
    while (position < until) {
      const events = await this.#reader.batch(stream, {
        seq: position + 1,
        batch: defaultBatch,
        max_bytes: maxBytes,
      })
      const wanted = events.filter(event => event.streamSeq <= until)
      if (wanted.length > 0) yield wanted
      if (events.length === 0 || wanted.length < events.length) return
      position = events.at(-1)?.streamSeq ?? until
    }
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
