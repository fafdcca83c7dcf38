import {
  ConversationEvents,
  currentVersion,
  decodeBody,
  hasEventFields,
  type StoredEvent,
  wireBytes,
} from '../../events/index.ts'
import { type Encoding, eventOf, type Frame, transcode } from '../sessions/frames.ts'

/** A push to many sessions. It holds the JSON; the other encodings are made once, when the first session needs them. */
export class Wire {
  readonly json: Uint8Array
  readonly #id: (() => string) | undefined
  #msgpack: Uint8Array | undefined
  #sse: string | undefined

  /**
   * `id`: returns the id of a stored event on event streams. Called in the turn of the event loop that publishes the
   * event.
   */
  constructor(json: Uint8Array, id?: () => string) {
    this.json = json
    this.#id = id
  }

  static of(push: object): Wire {
    return new Wire(Buffer.from(JSON.stringify(push)))
  }

  get msgpack(): Uint8Array {
    this.#msgpack ??= transcode(this.json)
    return this.#msgpack
  }

  get sse(): string {
    this.#sse ??= this.event(this.#id?.())
    return this.#sse
  }

  /** Returns the push as a Server-Sent Event with the given id. */
  event(id: string | undefined): string {
    return eventOf(bufferOf(this.json).toString(), id)
  }

  frame(encoding: Encoding): Frame {
    if (encoding === 'json') return this.json
    if (encoding === 'msgpack') return this.msgpack
    return encoding === 'sse' ? this.sse : this.json
  }
}

/** An event of a conversation as sessions receive it. */
export interface WireEvent {
  readonly c: string
  readonly seq: number
  readonly stream: string
  readonly streamSeq: number
  readonly wire: Wire
}

/**
 * Returns the JSON that clients receive for a stored event of a conversation, or undefined when this build cannot read
 * the event.
 *
 * A body of an unknown type or of a newer version is forwarded as stored. Clients ignore an unknown type and count its
 * `seq`, and during a rolling upgrade they receive the same bytes from old and from new nodes.
 */
export const clientBytes = (stored: StoredEvent): Uint8Array | undefined => {
  const { type, version } = stored.envelope
  const current = currentVersion(type)
  try {
    if (!Object.hasOwn(ConversationEvents, type) || version > current)
      return hasEventFields(stored) ? stored.data : undefined
    if (version < current) return wireBytes(stored)
    // Decoding each event would cost more than all the rest of its delivery.
    if (!startsAsEvent(stored)) decodeBody(stored)
    return stored.data
  } catch {
    return undefined
  }
}

/** Whether a body begins and ends as the deciders write it. */
const startsAsEvent = ({ aggregate, envelope, data }: StoredEvent): boolean => {
  const start = `{"t":"event","c":"${aggregate.id}","seq":${envelope.seq},`
  return (
    bufferOf(data).toString('latin1', 0, start.length) === start && data[data.length - 1] === closingBrace
  )
}

const closingBrace = '}'.charCodeAt(0)

const bufferOf = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
