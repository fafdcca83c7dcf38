import type { ConversationView } from '../../commands/index.ts'
import { Limits, type StoredEvent, wireBytes } from '../../events/index.ts'
import type { TimelineEntry } from '../../projections/index.ts'
import { Wire } from '../delivery/wire.ts'
import type { ConversationReader } from './conversation-reader.ts'

/** An event that somebody has missed. */
export interface MissedEvent {
  readonly seq: number
  readonly streamSeq: number
  readonly wire: Wire
}

/** The last events that are kept of a conversation, with no hole in between. */
interface Tail {
  /** The seq before its first. */
  from: number
  events: MissedEvent[]
  bytes: number
  /** `performance.now()` when somebody was last served from it. */
  usedAt: number
}

interface Reading {
  readonly after: number
  readonly events: Promise<readonly MissedEvent[]>
}

const pageEvents = 200
/** A tail that nobody asked for as long is no longer kept up with the live feed, ms. */
const idleMs = 30_000
/** What an event takes besides its bytes. */
const eventOverhead = 256

/**
 * What sessions have missed, read once for all of them: those that come back together have missed the same. What was read is kept, and kept up with the live feed
 * for as long as somebody asks for it, so that a thousand sockets of fifty conversations cost some fifty reads. Nobody is authorised here.
 */
export class SharedReads {
  readonly #reader: ConversationReader
  readonly #most: number
  readonly #onServed: (shared: boolean) => void
  /** In the order in which they were used. */
  readonly #tails = new Map<string, Tail>()
  /** Of each conversation the one that reads from furthest back. */
  readonly #readings = new Map<string, Reading>()
  #bytes = 0

  /** `most`: bytes that are kept, of all tails; 0: none, and only reads under way are shared. `onServed` is told whether it took no read of its own. */
  constructor(reader: ConversationReader, most: number, onServed: (shared: boolean) => void) {
    this.#reader = reader
    this.#most = most
    this.#onServed = onServed
  }

  /** Bytes that are kept. */
  get bytes(): number {
    return this.#bytes
  }

  /** Whether live events of a conversation are to come by `offer`. */
  isKeeping(c: string): boolean {
    return this.#tails.size > 0 && this.#tails.has(c)
  }

  /** A live event of a conversation whose tail is kept. */
  offer(event: StoredEvent): void {
    const c = event.aggregate.id
    const { seq } = event.envelope
    const tail = this.#tails.get(c)
    if (tail === undefined || seq !== tail.from + tail.events.length + 1) return
    if (performance.now() - tail.usedAt > idleMs) this.#forget(c, tail)
    else this.#keep(c, seq - 1, [missed({ seq, streamSeq: event.streamSeq, data: wireBytes(event) })])
  }

  /** Events after a seq, ascending: those next after it, though perhaps not all; none where nothing more is stored. Rejects as reading does. */
  async after(view: ConversationView, seq: number): Promise<readonly MissedEvent[]> {
    const { c } = view
    const tail = this.#tails.get(c)
    if (tail !== undefined && tail.from <= seq && seq < tail.from + tail.events.length) {
      this.#used(c, tail)
      this.#onServed(true)
      return tail.events.slice(seq - tail.from)
    }
    const reading = this.#readings.get(c)
    if (reading === undefined || seq < reading.after) {
      this.#onServed(false)
      return await this.#read(view, seq)
    }
    const events = (await reading.events).filter(event => event.seq > seq)
    if (events.length === 0) return await this.after(view, seq)
    this.#onServed(true)
    return events
  }

  async #read(view: ConversationView, after: number): Promise<readonly MissedEvent[]> {
    const reading = { after, events: this.#page(view, after) }
    this.#readings.set(view.c, reading)
    try {
      const events = await reading.events
      this.#keep(view.c, after, events)
      return events
    } finally {
      if (this.#readings.get(view.c) === reading) this.#readings.delete(view.c)
    }
  }

  async #page(view: ConversationView, after: number): Promise<readonly MissedEvent[]> {
    return (await this.#reader.page(view, { after, limit: pageEvents })).map(missed)
  }

  #keep(c: string, after: number, events: readonly MissedEvent[]): void {
    // With a hole (an event that the timeline could not take) it is nothing to count in.
    if (this.#most === 0 || events.length === 0 || events.at(-1)!.seq !== after + events.length) return
    const before = this.#tails.get(c)
    const tail = before !== undefined && touches(before, after, events.length) ? before : emptyTail(after)
    if (before !== undefined && tail !== before) this.#forget(c, before)
    this.#bytes -= tail.bytes
    extend(tail, after, events)
    this.#bytes += tail.bytes
    if (before === tail && events.length === 1) this.#tails.set(c, tail)
    else this.#used(c, tail)
    for (const [other, oldest] of this.#tails) {
      if (this.#bytes <= this.#most) return
      this.#forget(other, oldest)
    }
  }

  #used(c: string, tail: Tail): void {
    tail.usedAt = performance.now()
    this.#tails.delete(c)
    this.#tails.set(c, tail)
  }

  #forget(c: string, tail: Tail): void {
    this.#tails.delete(c)
    this.#bytes -= tail.bytes
  }
}

const emptyTail = (from: number): Tail => ({ from, events: [], bytes: 0, usedAt: 0 })

/** The bytes of an event may be a view of what was read together with it: all that would be kept, too. */
const missed = ({ seq, streamSeq, data }: TimelineEntry): MissedEvent => ({
  seq,
  streamSeq,
  wire: new Wire(data.byteLength === data.buffer.byteLength ? data : new Uint8Array(data)),
})

/** In both encodings, which come to about the same. */
const bytesOf = (events: readonly MissedEvent[]): number =>
  events.reduce((sum, { wire }) => sum + 2 * wire.json.byteLength + eventOverhead, 0)

const touches = (tail: Tail, after: number, count: number): boolean =>
  after <= tail.from + tail.events.length && after + count >= tail.from

/** Adds those of the events that a tail lacks, at either end, and drops what no resume asks for any more. */
const extend = (tail: Tail, after: number, events: readonly MissedEvent[]): void => {
  const older = events.slice(0, Math.max(0, tail.from - after))
  const newer = events.slice(Math.max(0, tail.from + tail.events.length - after))
  tail.from = Math.min(tail.from, after)
  tail.events.unshift(...older)
  tail.events.push(...newer)
  tail.bytes += bytesOf(older) + bytesOf(newer)
  if (tail.events.length < 2 * Limits.resumeEvents) return
  const dropped = tail.events.splice(0, tail.events.length - Limits.resumeEvents)
  tail.from += dropped.length
  tail.bytes -= bytesOf(dropped)
}
