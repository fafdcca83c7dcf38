import { backoffMs } from '../../../base/backoff.ts'
import { sleep } from '../../../base/sleep.ts'
import type { StoredEvent } from '../../../events/index.ts'
import type { Nats } from '../client/connection.ts'
import { ReplyInbox } from '../client/connection.ts'
import { LogReader } from './log-reader.ts'
import type { StreamReader } from './stream-reader.ts'

const timeoutMs = 2_000
const batch = 500
const batchBytes = 1024 * 1024
/** Requests to the leader that are in flight at the same time. */
const window = 64
/** Pauses at the end of the stream, ms: short after a message, and longer the longer there is none. */
const idleBackoff = { firstMs: 5, maxMs: 100, jitter: 0 }
const retryBackoff = { firstMs: 100, maxMs: 2_000, jitter: 0 }

export interface PolledReaderOptions {
  readonly stream: string
  readonly after: number
  /** Number of queued messages above which no more are requested. */
  readonly maxQueued: number
  /** Whether to read by direct gets, from any replica; otherwise the leader is asked for one message at a time. */
  readonly isDirect: boolean
}

/** Reads a stream by requests for the messages after its position. Needs no rights on consumers. */
export class PolledReader implements StreamReader {
  readonly #options: PolledReaderOptions
  readonly #inbox: ReplyInbox
  readonly #reader: LogReader
  readonly #stopping = new AbortController()
  #queue: StoredEvent[] = []
  /** Sequence of the last message that was queued. */
  #position: number
  #isAtEnd = false
  #reportsEnd = false
  /** When the last request was answered, as by `performance.now()`. */
  #confirmedAt = Number.NEGATIVE_INFINITY
  /** Resolves the wait of `next`, and that of the requests. */
  #wakeReader: (() => void) | undefined
  #wakeRequests: (() => void) | undefined

  constructor(nats: Nats, options: PolledReaderOptions) {
    this.#options = options
    this.#position = options.after
    this.#inbox = new ReplyInbox(nats, timeoutMs)
    this.#reader = new LogReader(nats, this.#inbox)
    void this.#request()
  }

  get silentMs(): number {
    return performance.now() - this.#confirmedAt
  }

  async next(max: number): Promise<StoredEvent[]> {
    while (this.#queue.length === 0 && !this.#reportsEnd && !this.#stopping.signal.aborted)
      await new Promise<void>(resolve => {
        this.#wakeReader = resolve
      })
    if (this.#queue.length === 0) {
      this.#reportsEnd = false
      return []
    }
    const events = this.#queue.slice(0, max)
    this.#queue = this.#queue.slice(max)
    this.#wakeRequests?.()
    return events
  }

  stop(): void {
    if (this.#stopping.signal.aborted) return
    this.#stopping.abort()
    this.#inbox.close()
    this.#wakeReader?.()
    this.#wakeRequests?.()
  }

  /** Requests messages until the reader is stopped. Never rejects. */
  async #request(): Promise<void> {
    const { signal } = this.#stopping
    for (let pauses = 0, failures = 0; !signal.aborted; ) {
      if (this.#queue.length > this.#options.maxQueued) {
        await new Promise<void>(resolve => {
          this.#wakeRequests = resolve
        })
        continue
      }
      let events: readonly StoredEvent[]
      try {
        events = await (this.#options.isDirect ? this.#fromAnyReplica() : this.#fromLeader())
        failures = 0
      } catch {
        // No leader, or no connection.
        await sleep(backoffMs(++failures, retryBackoff), signal)
        continue
      }
      this.#confirmedAt = performance.now()
      this.#accept(events)
      if (events.length > 0) pauses = 0
      else await sleep(backoffMs(++pauses, idleBackoff), signal)
    }
  }

  #fromAnyReplica(): Promise<StoredEvent[]> {
    const { stream } = this.#options
    return this.#reader.batch(stream, { seq: this.#position + 1, batch, max_bytes: batchBytes })
  }

  /**
   * Reads the next messages, each by a request for the first one at or after a sequence. Several requests may find the
   * same message.
   */
  async #fromLeader(): Promise<StoredEvent[]> {
    const read = (seq: number) => this.#reader.leader(this.#options.stream, { seq, next_by_subj: '>' })
    const first = await read(this.#position + 1)
    if (first === undefined) return []
    const from = first.streamSeq + 1
    const others = await Promise.all(Array.from({ length: window }, (_, index) => read(from + index)))
    const found = new Map([first, ...others].flatMap(event => (event ? [[event.streamSeq, event]] : [])))
    return [...found.values()].sort((one, other) => one.streamSeq - other.streamSeq)
  }

  #accept(events: readonly StoredEvent[]): void {
    if (events.length > 0) {
      this.#isAtEnd = false
      this.#reportsEnd = false
      this.#queue = this.#queue.concat(events)
      this.#position = events.at(-1)?.streamSeq ?? this.#position
    } else {
      if (!this.#isAtEnd) this.#reportsEnd = true
      this.#isAtEnd = true
    }
    this.#wakeReader?.()
  }
}
