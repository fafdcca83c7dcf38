import type { AggregateRef, Family } from './subjects.ts'

/**
 * The metadata of an event, carried in NATS headers: consumers route, filter and order events without parsing a body.
 */
export interface Envelope {
  /** Event type, such as `message.posted`. */
  readonly type: string
  /** Schema version of the body, from 1. */
  readonly version: number
  /** Sequence number: gapless per aggregate, from 1. */
  readonly seq: number
  /**
   * Ordinal of the conversation's last message as of this event: a message counts itself. 0 for user events.
   */
  readonly n: number
  /** User id of the user who sent the command. */
  readonly actor: string
  /** Id of the command that produced the event, unique in the log. */
  readonly commandId: string
  /** Region epoch: incremented when a region is promoted. */
  readonly epoch: number
  /** Id of the key that the body is encrypted with. Not used yet. */
  readonly keyId?: string
  /** W3C trace context. */
  readonly traceparent?: string
}

/**
 * A position in the log. Stream sequences start at 1, count every message of the stream, and stay the same when a
 * mirror is promoted. The name of the stream does not: a promoted mirror has a name of its own.
 */
export interface Position {
  readonly stream: string
  readonly streamSeq: number
}

/**
 * How far a process has followed one stream, and the family of aggregates that the stream holds. Use `family` to tell
 * streams apart, never their names.
 */
export interface StreamPosition extends Position {
  readonly family: Family
  /** The end of the stream's part in another stream, for a stream that was added when partitions moved. */
  readonly origin?: Position
}

/** One event of the log. `data` is the body as UTF-8 JSON. Clients receive a conversation event byte for byte. */
export interface StoredEvent extends Position {
  readonly aggregate: AggregateRef
  readonly envelope: Envelope
  readonly data: Uint8Array
}

/**
 * Whether a stored message is not an event of confab. The log reads such a message with an empty type and without a
 * seq.
 */
export const isForeign = (stored: StoredEvent): boolean => isNoEvent(stored.envelope.type)

/** Header names. NATS header names are case-sensitive. */
export const Header = {
  type: 'Confab-Type',
  version: 'Confab-Version',
  seq: 'Confab-Seq',
  n: 'Confab-N',
  actor: 'Confab-Actor',
  commandId: 'Confab-Command',
  epoch: 'Confab-Epoch',
  keyId: 'Confab-Key',
  traceparent: 'traceparent',
} as const

const headerValue = /^[\x21-\x7e]{1,256}$/

/** Returns the headers of an envelope, in order. Throws a TypeError for a value that a header cannot carry. */
export const encodeEnvelope = (envelope: Envelope): [name: string, value: string][] => {
  const headers: [string, string][] = [
    [Header.type, envelope.type],
    [Header.version, String(envelope.version)],
    [Header.seq, String(envelope.seq)],
    [Header.n, String(envelope.n)],
    [Header.actor, envelope.actor],
    [Header.commandId, envelope.commandId],
    [Header.epoch, String(envelope.epoch)],
  ]
  if (envelope.keyId !== undefined) headers.push([Header.keyId, envelope.keyId])
  if (envelope.traceparent !== undefined) headers.push([Header.traceparent, envelope.traceparent])
  for (const [name, value] of headers)
    if (!headerValue.test(value))
      throw new TypeError(`header ${name} must be 1 to 256 printable ASCII characters`)
  return headers
}

/**
 * Reads an envelope from headers. A missing header is `''` or undefined. Returns undefined when confab did not write
 * them.
 */
export const decodeEnvelope = (get: (name: string) => string | undefined): Envelope | undefined => {
  const type = get(Header.type)
  const version = Number(get(Header.version))
  const seq = Number(get(Header.seq))
  const n = Number(get(Header.n))
  const epoch = Number(get(Header.epoch))
  const actor = get(Header.actor)
  const commandId = get(Header.commandId)
  const keyId = get(Header.keyId)
  const traceparent = get(Header.traceparent)
  if (!type || !actor || !commandId) return undefined
  if (!(version >= 1) || !(seq >= 1) || !(n >= 0) || !(epoch >= 1)) return undefined
  return {
    type,
    version,
    seq,
    n,
    actor,
    commandId,
    epoch,
    ...(keyId ? { keyId } : {}),
    ...(traceparent ? { traceparent } : {}),
  }
}

/** The type of a message that marks a place in a stream and belongs to no aggregate. Readers skip it. */
export const markerType = 'log.marker'

/** Whether a message only marks a place in its stream. */
export const isMarker = ({ envelope }: StoredEvent): boolean => envelope.type === markerType

/** Whether messages of a type are no events: confab did not write them (''), or they mark a place. */
export const isNoEvent = (type: string): boolean => type === '' || type === markerType
