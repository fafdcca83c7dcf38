import type { Msg, MsgImpl } from '@nats-io/transport-node'

/**
 * Returns a message's header block as text, `NATS/1.0\r\nName: value\r\n…`, or '' when there is none. Readers search
 * the ASCII text for the few headers they need. The map that nats.js makes costs about 10 µs a message.
 */
export const headerText = (msg: Msg): string => {
  const { _msg: arg, _rdata: raw } = msg as MsgImpl
  if (arg.hdr <= 0) return ''
  const bytes = Buffer.isBuffer(raw) ? raw : Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength)
  return bytes.toString('latin1', 0, arg.hdr)
}

const space = 32

/** Returns the search text of a header, for `headerIn`. */
export const needleOf = (name: string): string => `\r\n${name}:`

/** Returns the first value of a header at or after offset `from`, trimmed on the left; undefined when there is none. */
export const headerIn = (text: string, needle: string, from = 0): string | undefined => {
  const found = text.indexOf(needle, from)
  if (found < 0) return undefined
  let start = found + needle.length
  while (text.charCodeAt(start) === space) start++
  const end = text.indexOf('\r', start)
  return end < 0 ? text.slice(start) : text.slice(start, end)
}

/** Returns the status of a message that the server itself sent, such as 503 or 404; 0 for any other message. */
export const statusIn = (text: string): number => {
  // NATS/1.0 404 Message Not Found
  const status = text.charCodeAt(8) === space ? Number(text.slice(9, 12)) : 0
  return Number.isNaN(status) ? 0 : status
}
