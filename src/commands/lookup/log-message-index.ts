import { LRUCache } from 'lru-cache'
import { sleep } from '../../base/sleep.ts'
import { ConfabError, decodeConversationEvent, type StoredEvent } from '../../events/index.ts'
import type { EventLog } from '../ports/event-log.ts'
import type { MessageRef } from '../ports/message-lookup.ts'

/** What a part of a conversation's log says of its messages: all events after seq `since`, up to seq `seq`. */
export interface IndexedMessages {
  readonly since: number
  seq: number
  streamSeq: number
  /** Posted in this part. */
  readonly posted: Map<string, MessageRef>
  /** Deleted in this part, but posted before it. */
  readonly deleted: Set<string>
}

/** Average memory of an indexed message, bytes, measured with Node 24. */
const messageBytes = 200
const partBytes = 1000
/** Events between two estimates of a part that the feed extends. */
const sizeEvery = 1024
/** A replica of the log may lag behind what the asker has seen: so often, and after so many ms, it is asked again. */
const staleReads = 40
const staleReadMs = 5

/**
 * Indexes of conversations' messages, made by reading their logs and extended as they are asked for later events. Bounded in bytes: the least used is dropped, and made
 * again from the log when it is needed.
 */
export class LogMessageIndex {
  readonly #log: EventLog
  readonly #maxBytes: number
  readonly #parts: LRUCache<string, IndexedMessages>
  /** One reading of a conversation at a time. */
  readonly #reading = new Map<string, Promise<IndexedMessages>>()

  constructor(log: EventLog, maxBytes: number) {
    this.#log = log
    this.#maxBytes = maxBytes
    this.#parts = new LRUCache({ maxSize: maxBytes })
  }

  /** What the log says of `c` after event `from`, at least up to seq `upTo`. Rejects as the log does, or with UNAVAILABLE when the log ends before that. */
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

  /** Takes what the live feed brings: a conversation that goes on needs not be read again. */
  feed(stored: StoredEvent): void {
    const { family, id } = stored.aggregate
    const part = family === 'conv' ? this.#parts.peek(id) : undefined
    if (part === undefined || stored.envelope.seq !== part.seq + 1) return
    try {
      take(part, stored)
      if (part.seq % sizeEvery === 0) this.#keep(id, part)
    } catch {
      // An event that can't be read: whoever reads the log next is told of it.
      this.#parts.delete(id)
    }
  }

  #start(
    c: string,
    from: { seq: number; streamSeq: number },
    part: IndexedMessages | undefined,
  ): Promise<IndexedMessages> {
    const goesOn = part !== undefined && part.since <= from.seq && from.seq <= part.seq
    const { seq, streamSeq } = from
    const reading = this.#read(
      c,
      goesOn ? part : { since: seq, seq, streamSeq, posted: new Map(), deleted: new Set() },
    ).finally(() => this.#reading.delete(c))
    this.#reading.set(c, reading)
    return reading
  }

  async #read(c: string, part: IndexedMessages): Promise<IndexedMessages> {
    for await (const batch of this.#log.read({ family: 'conv', id: c }, part.streamSeq))
      for (const stored of batch) take(part, stored)
    this.#keep(c, part)
    return part
  }

  #keep(c: string, part: IndexedMessages): void {
    const bytes = partBytes + (part.posted.size + part.deleted.size) * messageBytes
    this.#parts.set(c, part, { size: Math.min(bytes, this.#maxBytes) })
  }
}

const take = (part: IndexedMessages, stored: StoredEvent): void => {
  const { type, seq } = stored.envelope
  if (seq <= part.seq) return
  if (type === 'message.posted' || type === 'message.deleted') {
    const event = decodeConversationEvent(stored)
    if (event.type === 'message.posted') {
      const { m, from, at } = event
      part.posted.set(m, { m, seq, from, at, deleted: false })
    } else if (event.type === 'message.deleted') {
      const message = part.posted.get(event.m)
      if (message === undefined) part.deleted.add(event.m)
      else part.posted.set(event.m, { ...message, deleted: true })
    }
  }
  part.seq = seq
  part.streamSeq = stored.streamSeq
}
