import { isUtf8 } from 'node:buffer'
import { Packr, Unpackr } from 'msgpackr'
import { ConfabError, type ErrorBody, Subprotocol } from '../../events/index.ts'
import { isSafeMsgpack } from './msgpack-check.ts'

/** How a session's frames are written: `sse` is JSON in the format of Server-Sent Events, `grpc` JSON that its transport makes a message of. */
export type Encoding = keyof typeof Subprotocol | 'sse' | 'grpc'

/** An event of an event stream (HTML, 9.2.5). JSON has no line breaks. With an `id`, that is where the stream goes on after it. */
export const eventOf = (json: string, id?: string): string =>
  id === undefined ? `data: ${json}\n\n` : `id: ${id}\ndata: ${json}\n\n`

/** A frame as it goes out: a string or bytes of a text frame, or the bytes of a binary one, by the session's encoding. */
export type Frame = string | Uint8Array

/** JSON that stands where an answer's fields do: an object, already written. */
export class JsonFields {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

const packr = new Packr({ useRecords: false })
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true, int64AsType: 'number' })
const mapUnpackr = new Unpackr({ useRecords: false, mapsAsObjects: false, int64AsType: 'number' })

/** Maps within each other as objects, every key a property of the object's own. */
const asObjects = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(asObjects)
  if (!(value instanceof Map)) return value
  return Object.fromEntries(Array.from(value, ([key, item]) => [key, asObjects(item)]))
}

/** The decoder gives objects no key `__proto__`, but one like it. It is an id like any other, so that then the slower way is taken. */
const unpack = (bytes: Buffer): unknown =>
  bytes.includes('__proto__') ? asObjects(mapUnpackr.unpack(bytes)) : unpackr.unpack(bytes)

/** The encoding that a client's list of subprotocols asks for, JSON when it names none; undefined when none of them is ours. */
export const negotiate = (header: string): { encoding: Encoding; subprotocol: string } | undefined => {
  if (header === '') return { encoding: 'json', subprotocol: '' }
  for (const offered of header.split(',')) {
    const subprotocol = offered.trim()
    if (subprotocol === Subprotocol.json) return { encoding: 'json', subprotocol }
    if (subprotocol === Subprotocol.msgpack) return { encoding: 'msgpack', subprotocol }
  }
  return undefined
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const notAnObject = (encoding: Encoding): ConfabError =>
  new ConfabError(
    'BAD_REQUEST',
    encoding === 'json'
      ? 'A frame has to be one JSON object, in UTF-8.'
      : 'A frame has to be one MessagePack map, in a binary frame, no deeper than 16 levels, with no extension types.',
  )

/**
 * A frame's object. The bytes are not kept. JSON is taken from text and binary frames, MessagePack from binary ones. How deep JSON may nest is bounded by the
 * frame's size alone: its parser and the checks after it do not recurse. Throws ConfabError BAD_REQUEST for anything else.
 */
export const decodeFrame = (
  message: ArrayBuffer,
  isBinary: boolean,
  encoding: Encoding,
): Record<string, unknown> => {
  const bytes = Buffer.from(message)
  let value: unknown
  if (encoding === 'json') {
    // The transport has checked text frames already.
    if (isBinary && !isUtf8(bytes)) throw notAnObject(encoding)
    try {
      value = JSON.parse(bytes.toString('utf8'))
    } catch {
      throw notAnObject(encoding)
    }
  } else {
    if (!isBinary || !isSafeMsgpack(bytes)) throw notAnObject(encoding)
    try {
      value = unpack(bytes)
    } catch {
      throw notAnObject(encoding)
    }
  }
  if (!isRecord(value)) throw notAnObject(encoding)
  return value
}

const idAtStart = /^\s*\{\s*"id"\s*:\s*"([^"\\]{1,64})"/

/** The id of a request that is too large to be decoded, where it stands first, as client libraries write it. */
export const leadingId = (message: ArrayBuffer, encoding: Encoding): string | null =>
  encoding === 'json' ? (idAtStart.exec(Buffer.from(message, 0, 256).toString('utf8'))?.[1] ?? null) : null

/** A push or an answer, in the session's encoding. */
export const encodeFrame = (encoding: Encoding, value: object): Frame => {
  if (encoding === 'msgpack') return packr.pack(value)
  const json = JSON.stringify(value)
  return encoding === 'sse' ? eventOf(json) : json
}

/** JSON bytes, in MessagePack. */
export const transcode = (json: Uint8Array): Uint8Array =>
  packr.pack(JSON.parse(Buffer.from(json.buffer, json.byteOffset, json.byteLength).toString('utf8')))

/** The answer to a request that went well. */
export const encodeAnswer = (encoding: Encoding, re: string, fields: object): Frame => {
  if (encoding === 'msgpack')
    return packr.pack({
      re,
      ok: true,
      ...(fields instanceof JsonFields ? (JSON.parse(fields.text) as object) : fields),
    })
  const rest = fields instanceof JsonFields ? fields.text : JSON.stringify(fields)
  return `{"re":${JSON.stringify(re)},"ok":true${rest === '{}' ? '' : `,${rest.slice(1, -1)}`}}`
}

/** The answer to a request that did not. `re` is null when it has no id that could be named. */
export const encodeError = (encoding: Encoding, re: string | null, error: ErrorBody): Frame =>
  encodeFrame(encoding, { re, ok: false, error })
