import type { ConversationView } from '../../commands/index.ts'
import { Limits } from '../../events/index.ts'
import type { TimelineEntry } from '../../projections/index.ts'
import { Readable } from '../access/readable.ts'
import { Wire, type WireEvent } from '../delivery/wire.ts'
import { type ConversationReader, isReadable } from './conversation-reader.ts'

/**
 * The place in a conversation after which events are read: a sequence number, or a position in the conversation's
 * stream.
 */
export type Cursor = { readonly seq: number } | { readonly streamSeq: number }

/** The newest events of a conversation that are kept in memory, without a gap. */
interface KeptEvents {
  /** The last edit or deletion that the events show. */
  amended: number
  /** The `seq` before the first kept event. */
  from: number
  events: WireEvent[]
  bytes: number
  /** `performance.now()` when a session was last served from these events. */
  usedAt: number
}

interface Reading {
  readonly cursor: Cursor
  /** The last edit or deletion that the events show. */
  readonly amended: number
  readonly events: Promise<readonly WireEvent[]>
}

const pageEvents = 200
/** Kept events that no session has asked for during this time are dropped at the next live event, ms. */
const idleMs = 30_000
/** Estimated memory of a kept event besides its bytes. */
const eventOverhead = 256

/**
 * Reads missed events once for all sessions: sessions that reconnect together have missed the same events. Events that
 * were read are kept, and live events are added to them while sessions ask for them. A thousand sockets of fifty
 * conversations cost about fifty reads. Callers authorise the user.
 */
export class SharedReads {
  readonly #reader: ConversationReader
  readonly #maxBytes: number
  readonly #onServed: (shared: boolean) => void
  /** By conversation, the least recently used first. */
  readonly #kept = new Map<string, KeptEvents>()
  /** By conversation and kind of cursor, the read that started furthest back. */
  readonly #readings = new Map<string, Reading>()
  #bytes = 0
  #cuts = 0

  /**
   * `maxBytes`: bytes of all kept events; 0: none are kept, and only concurrent reads are shared. `onServed` receives
   * whether a session was served without a read of its own.
   */
  constructor(reader: ConversationReader, maxBytes: number, onServed: (shared: boolean) => void) {
    this.#reader = reader
    this.#maxBytes = maxBytes
    this.#onServed = onServed
  }

  /** Bytes of all kept events. */
  get bytes(): number {
    return this.#bytes
  }

  /** Whether live events of a conversation are to be passed to `add`. */
  isKeeping(c: string): boolean {
    return this.#kept.size > 0 && this.#kept.has(c)
  }

  /** Adds a live event to the kept events of its conversation, if it is the next one. */
  add(event: WireEvent): void {
    const { c, seq } = event
    const kept = this.#kept.get(c)
    if (kept === undefined || seq !== kept.from + kept.events.length + 1) return
    if (performance.now() - kept.usedAt > idleMs) this.#drop(c, kept)
    else {
      const { amended } = kept
      this.#keep(c, seq - 1, { amended, events: [{ ...event, wire: ownWire(event.wire.json) }] })
    }
  }

  /** Drops kept events of conversations with events after `streamSeq`: the stream was continued without them. */
  cutOff(stream: string, streamSeq: number): void {
    for (const [c, kept] of this.#kept)
      if (kept.events.some(event => event.stream === stream && event.streamSeq > streamSeq))
        this.#drop(c, kept)
    // A read in progress may have found lost events.
    this.#readings.clear()
    this.#cuts++
  }

  /**
   * Returns events after a cursor, ascending and without a gap, though perhaps not all of them. Returns none when no
   * event is stored after the cursor, or when this build cannot read the next one; undefined when the user may not read
   * the next one. Rejects as reads of the timeline and the log do.
   */
  async after(readable: Readable, cursor: Cursor): Promise<readonly WireEvent[] | undefined> {
    const events = await this.#after(readable.view, cursor)
    return events[0] !== undefined && events[0].seq < readable.first ? undefined : events
  }

  async #after(view: ConversationView, cursor: Cursor): Promise<readonly WireEvent[]> {
    const { c, amended } = view
    const kept = this.#current(c, amended)
    const found = kept === undefined ? [] : keptAfter(kept, cursor)
    if (kept !== undefined && found.length > 0) {
      this.#used(c, kept)
      this.#onServed(true)
      return found
    }
    const reading = this.#readings.get(readingKey(c, cursor))
    if (reading === undefined || reading.amended < amended || offsetOf(cursor) < offsetOf(reading.cursor)) {
      this.#onServed(false)
      return await this.#read(view, cursor)
    }
    const events = (await reading.events).filter(event => isAfter(event, cursor))
    if (events.length === 0) return await this.#after(view, cursor)
    this.#onServed(true)
    return events
  }

  async #read(view: ConversationView, cursor: Cursor): Promise<readonly WireEvent[]> {
    const key = readingKey(view.c, cursor)
    const { amended } = view
    const cuts = this.#cuts
    const reading = { cursor, amended, events: this.#page(view, cursor) }
    this.#readings.set(key, reading)
    try {
      const events = await reading.events
      // An edit or deletion since may be missing in the events.
      if (events.length > 0 && amended === view.amended && cuts === this.#cuts)
        this.#keep(view.c, events[0]!.seq - 1, { amended, events })
      return events
    } finally {
      if (this.#readings.get(key) === reading) this.#readings.delete(key)
    }
  }

  async #page(view: ConversationView, cursor: Cursor): Promise<readonly WireEvent[]> {
    const { c, stream } = view
    const whole = Readable.whole(view)
    const entries =
      'seq' in cursor
        ? await this.#reader.page(whole, { after: cursor.seq, limit: pageEvents })
        : await this.#reader.pageAfterPosition(whole, cursor.streamSeq, pageEvents)
    return withoutGap(entries, 'seq' in cursor ? cursor.seq : (entries[0]?.seq ?? 1) - 1).map(
      ({ seq, streamSeq, data }) => ({ c, seq, stream, streamSeq, wire: ownWire(data) }),
    )
  }

  /** Returns the kept events of a conversation. Drops those that a later edit or deletion has outdated. */
  #current(c: string, amended: number): KeptEvents | undefined {
    const kept = this.#kept.get(c)
    if (kept === undefined || kept.amended === amended) return kept
    this.#drop(c, kept)
    return undefined
  }

  #keep(
    c: string,
    after: number,
    { amended, events }: Pick<KeptEvents, 'amended'> & { readonly events: readonly WireEvent[] },
  ): void {
    if (this.#maxBytes === 0) return
    const before = this.#current(c, amended)
    const kept =
      before !== undefined && touches(before, after, events.length) ? before : emptyAfter(after, amended)
    if (before !== undefined && kept !== before) this.#drop(c, before)
    this.#bytes -= kept.bytes
    extend(kept, after, events)
    this.#bytes += kept.bytes
    if (before === kept && events.length === 1) this.#kept.set(c, kept)
    else this.#used(c, kept)
    for (const [other, oldest] of this.#kept) {
      if (this.#bytes <= this.#maxBytes) return
      this.#drop(other, oldest)
    }
  }

  #used(c: string, kept: KeptEvents): void {
    kept.usedAt = performance.now()
    this.#kept.delete(c)
    this.#kept.set(c, kept)
  }

  #drop(c: string, kept: KeptEvents): void {
    this.#kept.delete(c)
    this.#bytes -= kept.bytes
  }
}

const offsetOf = (cursor: Cursor): number => ('seq' in cursor ? cursor.seq : cursor.streamSeq)

const isAfter = (event: WireEvent, cursor: Cursor): boolean =>
  'seq' in cursor ? event.seq > cursor.seq : event.streamSeq > cursor.streamSeq

const readingKey = (c: string, cursor: Cursor): string => ('seq' in cursor ? `seq ${c}` : `position ${c}`)

/** The kept events after a cursor; none when events between the cursor and the first kept event may be missing. */
const keptAfter = ({ from, events }: KeptEvents, cursor: Cursor): readonly WireEvent[] => {
  if ('seq' in cursor)
    return from <= cursor.seq && cursor.seq < from + events.length ? events.slice(cursor.seq - from) : []
  const first = events[0]
  if (first === undefined || (from > 0 && first.streamSeq > cursor.streamSeq)) return []
  const index = events.findLastIndex(event => event.streamSeq <= cursor.streamSeq) + 1
  return events.slice(index)
}

/** The entries next after a `seq`, up to the first one that is missing or that this build cannot read. */
const withoutGap = (entries: readonly TimelineEntry[], after: number): readonly TimelineEntry[] => {
  const end = entries.findIndex((entry, index) => entry.seq !== after + 1 + index || !isReadable(entry))
  return end < 0 ? entries : entries.slice(0, end)
}

const emptyAfter = (from: number, amended: number): KeptEvents => ({
  amended,
  from,
  events: [],
  bytes: 0,
  usedAt: 0,
})

/** Copies bytes that are a view of a larger buffer: a kept view would keep the whole buffer in memory. */
const ownWire = (data: Uint8Array): Wire =>
  new Wire(data.byteLength === data.buffer.byteLength ? data : new Uint8Array(data))

/** Bytes in both encodings, which have about the same size. */
const bytesOf = (events: readonly WireEvent[]): number =>
  events.reduce((sum, { wire }) => sum + 2 * wire.json.byteLength + eventOverhead, 0)

const touches = (kept: KeptEvents, after: number, count: number): boolean =>
  after <= kept.from + kept.events.length && after + count >= kept.from

/** Adds the events that are not kept yet, at either end, and drops the oldest ones, which no resume asks for. */
const extend = (kept: KeptEvents, after: number, events: readonly WireEvent[]): void => {
  const older = events.slice(0, Math.max(0, kept.from - after))
  const newer = events.slice(Math.max(0, kept.from + kept.events.length - after))
  kept.from = Math.min(kept.from, after)
  kept.events.unshift(...older)
  kept.events.push(...newer)
  kept.bytes += bytesOf(older) + bytesOf(newer)
  if (kept.events.length < 2 * Limits.resumeEvents) return
  const dropped = kept.events.splice(0, kept.events.length - Limits.resumeEvents)
  kept.from += dropped.length
  kept.bytes -= bytesOf(dropped)
}
