import { LRUCache } from 'lru-cache'
import { sleep } from '../../base/sleep.ts'
import {
  ConfabError,
  decodeConversationEvent,
  fingerprintOf,
  LogDamagedError,
  type StoredEvent,
} from '../../events/index.ts'
import type { EventLog } from '../ports/event-log.ts'
import type { MessageRef } from '../ports/message-lookup.ts'

/** The messages of a part of a conversation's log: events after seq `since`, up to seq `seq`. */
export interface IndexedMessages {
  readonly since: number
  seq: number
  streamSeq: number
  /** Messages posted in this part. */
  readonly posted: Map<string, MessageRef>
  /** Messages deleted in this part and posted before it. */
  readonly deleted: Set<string>
}

/** Average memory of an indexed message and base memory of a part, bytes, measured with Node 24. */
const messageBytes = 220
const partBytes = 1000
/** Events between two estimates of a part's memory while the live feed extends it. */
const sizeEvery = 1024
/** Reads of a log replica that may be behind the requested seq, and the time between two of them, ms. */
const staleReads = 40
const staleReadMs = 5

/**
 * Message indexes of conversations, built from their logs and extended on demand. An LRU cache bounded in bytes: a
 * dropped index is rebuilt from the log when it is needed.
 */
export class LogMessageIndex {
  readonly #log: EventLog
  readonly #maxBytes: number
  readonly #parts: LRUCache<string, IndexedMessages>
  /** Reads in progress: one for each conversation. */
  readonly #reading = new Map<string, Promise<IndexedMessages>>()

  constructor(log: EventLog, maxBytes: number) {
    this.#log = log
    this.#maxBytes = maxBytes
    this.#parts = new LRUCache({ maxSize: maxBytes })
  }

  /**
   * Returns the index of events after `from`, at least up to seq `upTo`. Rejects as the log does, and with
   * UNAVAILABLE when the log ends before `upTo`, LogDamagedError when it lacks an event before.
   */
  async upTo(c: string, from: { seq: number; streamSeq: number }, upTo: number): Promise<IndexedMessages> {
    for (let tries = 0; tries < staleReads; tries++) {
      if (tries > 1) await sleep(staleReadMs)
      let part = this.#parts.get(c)
      if (part !== undefined && part.since <= from.seq && part.seq >= upTo) return part
      part = await (this.#reading.get(c) ?? this.#start(c, from, part))
      if (part.since <= from.seq && part.seq >= upTo) return part
    }
    throw new ConfabError('UNAVAILABLE')
  }

  /** Extends an index by an event of the live feed, so that the log need not be read again. */
  feed(stored: StoredEvent): void {
    const { family, id } = stored.aggregate
    const part = family === 'conv' ? this.#parts.peek(id) : undefined
    if (part === undefined) return
    try {
      if (stored.envelope.seq !== part.seq + 1) return
      addEvent(part, stored)
      if (part.seq % sizeEvery === 0) this.#keep(id, part)
    } catch {
      // The next read of the log meets the same event and rejects with the reason.
      this.#parts.delete(id)
    }
  }

  #start(
    c: string,
    from: { seq: number; streamSeq: number },
    part: IndexedMessages | undefined,
  ): Promise<IndexedMessages> {
    const extendsPart = part !== undefined && part.since <= from.seq && from.seq <= part.seq
    const { seq, streamSeq } = from
    const reading = this.#read(
      c,
      extendsPart ? part : { since: seq, seq, streamSeq, posted: new Map(), deleted: new Set() },
    ).finally(() => this.#reading.delete(c))
    this.#reading.set(c, reading)
    return reading
  }

  async #read(c: string, part: IndexedMessages): Promise<IndexedMessages> {
    for await (const batch of this.#log.read({ family: 'conv', id: c }, part.streamSeq))
      for (const stored of batch) addEvent(part, stored)
    this.#keep(c, part)
    return part
  }

  #keep(c: string, part: IndexedMessages): void {
    const bytes = partBytes + (part.posted.size + part.deleted.size) * messageBytes
    this.#parts.set(c, part, { size: Math.min(bytes, this.#maxBytes) })
  }
}

const addEvent = (part: IndexedMessages, stored: StoredEvent): void => {
  const { type, seq } = stored.envelope
  if (seq <= part.seq) return
  if (seq > part.seq + 1) throw new LogDamagedError(stored.aggregate, part.seq + 1, seq - 1)
  if (type === 'message.posted' || type === 'message.deleted') {
    const event = decodeConversationEvent(stored)
    if (event.type === 'message.posted') {
      const { m, from, at } = event
      part.posted.set(m, { m, seq, from, at, deleted: false, fingerprint: fingerprintOf(event) })
    } else if (event.type === 'message.deleted') {
      const message = part.posted.get(event.m)
      if (message === undefined) part.deleted.add(event.m)
      else part.posted.set(event.m, { ...message, deleted: true })
    }
  }
  part.seq = seq
  part.streamSeq = stored.streamSeq
}
