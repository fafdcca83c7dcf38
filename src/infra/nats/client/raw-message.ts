import type { Msg, MsgHdrs, MsgImpl } from '@nats-io/transport-node'
import { type Envelope, Header } from '../../../events/index.ts'

/**
 * A message's header block as text, `NATS/1.0\r\nName: value\r\n…`; '' when it has none. nats.js would make a map of it, at some 10 µs a message; here a few
 * named headers are looked up in the text instead. (Headers are ASCII.)
 */
export const headerText = (msg: Msg): string => {
  const { _msg: place, _rdata: raw } = msg as MsgImpl
  if (place.hdr <= 0) return ''
  const bytes = Buffer.isBuffer(raw) ? raw : Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength)
  return bytes.toString('latin1', 0, place.hdr)
}

const space = 32

/** What to look a header up by. */
export const needleOf = (name: string): string => `\r\n${name}:`

/** A header's first value from a place on, trimmed on the left; undefined where there is none. */
export const headerIn = (text: string, needle: string, from = 0): string | undefined => {
  const found = text.indexOf(needle, from)
  if (found < 0) return undefined
  let start = found + needle.length
  while (text.charCodeAt(start) === space) start++
  const end = text.indexOf('\r', start)
  return end < 0 ? text.slice(start) : text.slice(start, end)
}

/** The status of a message without payload that the server itself sent, such as 503 or 404; 0 for any other. */
export const statusIn = (text: string): number => {
  // NATS/1.0 404 Message Not Found
  const status = text.charCodeAt(8) === space ? Number(text.slice(9, 12)) : 0
  return Number.isNaN(status) ? 0 : status
}

/** A header block that is written by hand, for `publish`: nats.js only asks it for its bytes. */
export const rawHeaders = (block: string): MsgHdrs => {
  const bytes = Buffer.from(block, 'latin1')
  return { encode: () => bytes } as unknown as MsgHdrs
}

const token = /^[\x21-\x7e]{1,256}$/

const checked = (name: string, value: string): string => {
  if (token.test(value)) return value
  throw new TypeError(`header ${name} must be 1 to 256 printable ASCII characters`)
}

/**
 * The header block of an event that is about to be appended: what `encodeEnvelope` gives, as one text, with the message id, and with `more` header lines.
 * Written out because it is a tenth of what an append costs; a test holds the two together. Throws TypeError.
 */
export const headerBlock = (envelope: Envelope, more: string): string => {
  const { type, version, seq, n, actor, commandId, epoch, keyId, traceparent } = envelope
  const id = checked(Header.commandId, commandId)
  let block = `NATS/1.0\r\n${Header.type}: ${checked(Header.type, type)}\r\n${Header.version}: ${version}\r\n${Header.seq}: ${seq}\r\n${Header.n}: ${n}\r\n${Header.actor}: ${checked(Header.actor, actor)}\r\n${Header.commandId}: ${id}\r\n${Header.epoch}: ${epoch}\r\n`
  if (keyId !== undefined) block += `${Header.keyId}: ${checked(Header.keyId, keyId)}\r\n`
  if (traceparent !== undefined)
    block += `${Header.traceparent}: ${checked(Header.traceparent, traceparent)}\r\n`
  return `${block}Nats-Msg-Id: ${id}\r\n${more}\r\n`
}
