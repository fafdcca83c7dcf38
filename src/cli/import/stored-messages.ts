import { hash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { EventLog } from '../../commands/index.ts'
import { ConfabError, decodeConversationEvent, UnreadableEventError } from '../../events/index.ts'
import type { ImportMessage } from './import-item.ts'

/** A message that the log holds. `difference`: the field in which the message to import differs. */
export interface StoredMessage {
  readonly difference: 'text' | 'sender' | 'time' | undefined
}

/** The messages of a conversation, as far as its log has been read. */
interface ReadPart {
  seq: number
  streamSeq: number
  readonly messages: Map<string, Content>
}

/** `digest` is that of the text. */
interface Content {
  readonly from: string
  readonly at: string
  readonly digest: string
}

/** Average memory of a message and base memory of a conversation, bytes. */
const messageBytes = 300
const partBytes = 1000

const digestOf = (text: string): string => hash('sha256', text, 'base64url').slice(0, 16)

/**
 * Compares messages of an import with those that the log holds. The first look-up in a conversation reads its log,
 * later ones read new events when they need them. An LRU cache bounded in bytes holds the messages.
 */
export class StoredMessages {
  readonly #log: Pick<EventLog, 'read'>
  readonly #maxBytes: number
  readonly #parts: LRUCache<string, ReadPart>
  /** Reads in progress: one for each conversation. */
  readonly #reading = new Map<string, Promise<ReadPart>>()

  constructor(log: Pick<EventLog, 'read'>, maxBytes: number) {
    this.#log = log
    this.#maxBytes = maxBytes
    this.#parts = new LRUCache({ maxSize: maxBytes })
  }

  /**
   * Looks a message up among the events up to seq `upTo`, which the log holds, and possibly later ones. Undefined: the
   * log does not hold the message. Rejects with ConfabError.
   */
  async find({ c, m, user, at, text }: ImportMessage, upTo: number): Promise<StoredMessage | undefined> {
    let part = this.#parts.get(c)
    // A read in progress may have started before the event was stored.
    for (let reads = 0; part === undefined || part.seq < upTo; reads++) {
      if (reads === 2) throw new ConfabError('UNAVAILABLE')
      part = await (this.#reading.get(c) ?? this.#start(c, part))
    }
    const stored = part.messages.get(m)
    if (stored === undefined) return undefined
    if (stored.from !== user) return { difference: 'sender' }
    if (stored.at !== at) return { difference: 'time' }
    return { difference: stored.digest === digestOf(text) ? undefined : 'text' }
  }

  #start(c: string, part: ReadPart | undefined): Promise<ReadPart> {
    const reading = this.#read(c, part ?? { seq: 0, streamSeq: 0, messages: new Map() }).finally(() =>
      this.#reading.delete(c),
    )
    this.#reading.set(c, reading)
    return reading
  }

  async #read(c: string, part: ReadPart): Promise<ReadPart> {
    try {
      for await (const batch of this.#log.read({ family: 'conv', id: c }, part.streamSeq))
        for (const stored of batch) {
          if (stored.envelope.type === 'message.posted') {
            const event = decodeConversationEvent(stored)
            if (event.type === 'message.posted')
              part.messages.set(event.m, { from: event.from, at: event.at, digest: digestOf(event.text) })
          }
          part.seq = stored.envelope.seq
          part.streamSeq = stored.streamSeq
        }
    } catch (error) {
      if (ConfabError.is(error) || UnreadableEventError.is(error)) throw ConfabError.from(error)
      throw new ConfabError('UNAVAILABLE', undefined, { cause: error })
    }
    const bytes = partBytes + part.messages.size * messageBytes
    this.#parts.set(c, part, { size: Math.min(bytes, this.#maxBytes) })
    return part
  }
}
