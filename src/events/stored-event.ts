import type { AggregateRef } from './subjects.ts'

/** A place in the log. Sequences start at 1, count every event of the stream, and are kept when a mirror is promoted. */
export interface Position {
  readonly stream: string
  readonly streamSeq: number
}

/** One event as the log holds it. `data` is the body: UTF-8 JSON, for a conversation's event byte for byte what clients get. */
export interface StoredEvent extends Position {
  readonly aggregate: AggregateRef
  readonly envelope: Envelope
  readonly data: Uint8Array
}

/** What an event's NATS headers say of it, so that nobody has to parse a body to route, filter or order it. */
export interface Envelope {
  /** Event type, such as `message.posted`. */
  readonly type: string
  /** Schema version of the body, from 1. */
  readonly version: number
  /** `seq_no`: gapless per aggregate, from 1. */
  readonly seq: number
  /** Ordinal of the last message at this event: of itself for a message, of the one before it for anything else. 0 for users' events. */
  readonly n: number
  /** User id of who did it. */
  readonly actor: string
  /** Id of the command that it came of, unique in the log. */
  readonly commandId: string
  /** Raised when a region is promoted. */
  readonly epoch: number
  /** Id of the key that the body is encrypted with; none yet. */
  readonly keyId?: string
  /** W3C trace context. */
  readonly traceparent?: string
}

/** Names of the headers. NATS header names are case-sensitive. */
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

const token = /^[\x21-\x7e]{1,256}$/

/** The headers of an envelope in order, as name and value. Throws on a value that would break out of its header. */
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
    if (!token.test(value)) throw new TypeError(`header ${name} must be 1 to 256 printable ASCII characters`)
  return headers
}

/** Reads an envelope by header name (`''` or undefined where there is none). Undefined when it is not one of confab's. */
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
