import type { Msg } from '@nats-io/transport-node'
import type { LiveEvent } from '../../../commands/index.ts'
import {
  type AggregateRef,
  decodeEnvelope,
  type Envelope,
  type Family,
  Header,
  markerType,
  parseSubject,
  type StoredEvent,
} from '../../../events/index.ts'
import { headerIn, headerText, needleOf } from '../client/raw-message.ts'

const needles = new Map<string, string>(Object.values(Header).map(name => [name, needleOf(name)]))

export const streamNeedle = needleOf('Nats-Stream')
export const subjectNeedle = needleOf('Nats-Subject')
export const sequenceNeedle = needleOf('Nats-Sequence')

/** Matches an envelope that `headerBlock` wrote, before all other headers: one match instead of nine look-ups. */
const writtenEnvelope = new RegExp(
  `^NATS/1\\.0\r\n${[
    Header.type,
    Header.version,
    Header.seq,
    Header.n,
    Header.actor,
    Header.commandId,
    Header.epoch,
  ]
    .map(name => `${name}: ([!-~]+)\r\n`)
    .join('')}(?:${Header.keyId}: ([!-~]+)\r\n)?(?:${Header.traceparent}: ([!-~]+)\r\n)?`,
)

/** Returns the envelope in a header block; undefined when confab did not write the message. */
export const envelopeIn = (text: string): Envelope | undefined => {
  const match = writtenEnvelope.exec(text)
  if (match !== null) {
    const [, type = '', version, seq, n, actor = '', commandId = '', epoch, keyId, traceparent] = match
    const envelope = {
      type,
      version: Number(version),
      seq: Number(seq),
      n: Number(n),
      actor,
      commandId,
      epoch: Number(epoch),
    }
    if (envelope.version >= 1 && envelope.seq >= 1 && envelope.n >= 0 && envelope.epoch >= 1)
      return keyId === undefined && traceparent === undefined
        ? envelope
        : { ...envelope, ...(keyId ? { keyId } : {}), ...(traceparent ? { traceparent } : {}) }
  }
  return decodeEnvelope(name => headerIn(text, needles.get(name) ?? ''))
}

/** Placeholder envelope of a message that confab did not write. No event has the type '', so decoding it fails. */
const foreign: Envelope = { type: '', version: 1, seq: 0, n: 0, actor: '', commandId: '', epoch: 1 }
const marker: Envelope = { ...foreign, type: markerType }
const noAggregate: AggregateRef = { family: 'conv', id: '' }

/** The start of a header block that confab wrote. */
const typeStart = `NATS/1.0\r\n${Header.type}: `

/** Returns the event type without parsing the rest of the envelope; '' when confab did not write the message. */
const typeIn = (text: string): string =>
  text.startsWith(typeStart)
    ? text.slice(typeStart.length, text.indexOf('\r', typeStart.length))
    : (envelopeIn(text)?.type ?? '')

/** Length of the headers that a stream's republish appends to a header block; more only where names are very long. */
const republishLength = 320

/**
 * A republished message as an event. It parses only the fields that decide whether this process needs the event.
 * Reading `envelope` parses the rest, and throws TypeError when confab did not write the message.
 */
class LiveMessage implements LiveEvent {
  readonly stream: string
  readonly streamSeq: number
  readonly aggregate: AggregateRef
  readonly type: string
  readonly #msg: Msg
  readonly #headers: string
  #envelope: Envelope | undefined

  constructor(msg: Msg, family: Family) {
    const { subject } = msg
    const headers = headerText(msg)
    const from = headers.length - republishLength
    this.stream = headerIn(headers, streamNeedle, from) ?? headerIn(headers, streamNeedle) ?? ''
    this.streamSeq = Number(headerIn(headers, sequenceNeedle, from) ?? headerIn(headers, sequenceNeedle))
    this.aggregate = { family, id: subject.slice(subject.lastIndexOf('.') + 1) }
    this.type = typeIn(headers)
    this.#msg = msg
    this.#headers = headers
  }

  get envelope(): Envelope {
    this.#envelope ??= this.#read()
    return this.#envelope
  }

  /** A view into the connection's buffer. Copy it to keep it. */
  get data(): Uint8Array {
    return this.#msg.data
  }

  #read(): Envelope {
    const envelope = parseSubject(this.#msg.subject) === undefined ? undefined : envelopeIn(this.#headers)
    if (envelope !== undefined) return envelope
    throw new TypeError(`${this.stream} ${this.streamSeq} at ${this.#msg.subject} is not an event of confab`)
  }
}

/** Returns a message of a family's live feed as an event. */
export const liveEvent = (msg: Msg, family: Family): LiveEvent => new LiveMessage(msg, family)

/** Returns a message that readers skip, at the place of an event that they read from another stream. */
export const asMarker = (event: StoredEvent): StoredEvent => ({ ...event, envelope: marker })

/** Returns an event that was read from the log as a live event. */
export const asLive = (event: StoredEvent): LiveEvent => ({ ...event, type: event.envelope.type })

/**
 * Returns a stored message as an event. A message without an envelope, or on a subject of no aggregate, gets the
 * envelope type '', so that readers can pass its sequence; a marker keeps its type. `data` is a view into the
 * connection's buffer: copy it to keep it.
 */
export const toStoredEvent = (
  stream: string,
  streamSeq: number,
  subject: string,
  headers: string,
  data: Uint8Array,
): StoredEvent => {
  const aggregate = parseSubject(subject)
  if (aggregate === undefined && typeIn(headers) === markerType)
    return { stream, streamSeq, aggregate: noAggregate, envelope: marker, data }
  const envelope = aggregate === undefined ? undefined : envelopeIn(headers)
  return envelope === undefined || aggregate === undefined
    ? { stream, streamSeq, aggregate: aggregate ?? noAggregate, envelope: foreign, data }
    : { stream, streamSeq, aggregate, envelope, data }
}

/**
 * Returns the answer of a direct get of `stream` as an event. The answer's headers contain subject and sequence. The
 * stream that they name is not used: a mirror that answers for `stream` gives its own name.
 */
export const eventFromHeaders = (msg: Msg, stream: string): StoredEvent => {
  const text = headerText(msg)
  return toStoredEvent(
    stream,
    Number(headerIn(text, sequenceNeedle)),
    headerIn(text, subjectNeedle) ?? '',
    text,
    msg.data,
  )
}
