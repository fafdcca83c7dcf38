import type { Msg } from '@nats-io/transport-node'
import type { LiveEvent } from '../../../commands/index.ts'
import {
  type AggregateRef,
  decodeEnvelope,
  type Envelope,
  type Family,
  Header,
  parseSubject,
  type StoredEvent,
} from '../../../events/index.ts'
import { headerIn, headerText, needleOf } from '../client/raw-message.ts'

const needles = new Map<string, string>(Object.values(Header).map(name => [name, needleOf(name)]))

export const streamNeedle = needleOf('Nats-Stream')
export const subjectNeedle = needleOf('Nats-Subject')
export const sequenceNeedle = needleOf('Nats-Sequence')

/** An envelope as `headerBlock` writes it, ahead of all other headers: one match instead of nine look-ups. */
const writtenByUs = new RegExp(
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

/** The envelope in a header block; undefined when none of confab's writers wrote it. */
export const envelopeIn = (text: string): Envelope | undefined => {
  const match = writtenByUs.exec(text)
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

/** What stands for the envelope of a message that isn't confab's: no event has the type '', so whoever decodes it finds it malformed. */
const foreign: Envelope = { type: '', version: 1, seq: 0, n: 0, actor: '', commandId: '', epoch: 1 }
const nowhere: AggregateRef = { family: 'conv', id: '' }

/** How a header block of ours begins. */
const typeStart = `NATS/1.0\r\n${Header.type}: `

/** The envelope's type, without reading the rest of it where one of confab's writers wrote it; '' when it is none of confab's events. */
const typeIn = (text: string): string =>
  text.startsWith(typeStart)
    ? text.slice(typeStart.length, text.indexOf('\r', typeStart.length))
    : (envelopeIn(text)?.type ?? '')

/** What a stream's republish adds to a header block is at its end, and no longer than this unless the names are. */
const placeLength = 320

/**
 * A republished message as an event, with as little done as will do to find that nobody here is interested in it. The rest of what makes it one of confab's, its
 * bucket and its envelope, is looked at when the envelope is asked for, which throws TypeError then.
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
    const from = headers.length - placeLength
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

  /** A view into the connection's buffer: copy it to keep it for long. */
  get data(): Uint8Array {
    return this.#msg.data
  }

  #read(): Envelope {
    const envelope = parseSubject(this.#msg.subject) === undefined ? undefined : envelopeIn(this.#headers)
    if (envelope !== undefined) return envelope
    throw new TypeError(`${this.stream} ${this.streamSeq} at ${this.#msg.subject} is no event of confab's`)
  }
}

/** A message of the live feed of a family. */
export const liveEvent = (msg: Msg, family: Family): LiveEvent => new LiveMessage(msg, family)

/** An event that was read from the log, as the feed would have brought it. */
export const asLive = (event: StoredEvent): LiveEvent => ({ ...event, type: event.envelope.type })

/** Whether a message in a stream is none of confab's events. */
export const isForeign = (event: StoredEvent): boolean => event.envelope.type === ''

/**
 * A stored message as an event. A message that is none of confab's (no envelope, or a subject of no aggregate) comes out with the envelope type '', so that
 * its place in the stream is not lost. `data` is a view into the connection's buffer: copy it to keep it for long.
 */
export const toStoredEvent = (
  stream: string,
  streamSeq: number,
  subject: string,
  headers: string,
  data: Uint8Array,
): StoredEvent => {
  const aggregate = parseSubject(subject)
  const envelope = aggregate === undefined ? undefined : envelopeIn(headers)
  return envelope === undefined || aggregate === undefined
    ? { stream, streamSeq, aggregate: aggregate ?? nowhere, envelope: foreign, data }
    : { stream, streamSeq, aggregate, envelope, data }
}

/** An event as a direct get hands it out: its place in headers. */
export const eventFromHeaders = (msg: Msg): StoredEvent => {
  const text = headerText(msg)
  return toStoredEvent(
    headerIn(text, streamNeedle) ?? '',
    Number(headerIn(text, sequenceNeedle)),
    headerIn(text, subjectNeedle) ?? '',
    text,
    msg.data,
  )
}
