import { isUtf8 } from 'node:buffer'
import { Packr, Unpackr } from 'msgpackr'
import { ConfabError, type ErrorBody, Limits, Subprotocol } from '../../events/index.ts'
import { isSafeMsgpack, maxDepth } from './msgpack-check.ts'

/** The encoding of a session's frames. `sse`: JSON as Server-Sent Events. `grpc`: JSON that the transport converts. */
export type Encoding = keyof typeof Subprotocol | 'sse' | 'grpc'

/**
 * Returns JSON as a Server-Sent Event (HTML, 9.2.5). `id`: the cursor from which a stream continues after this event.
 */
export const eventOf = (json: string, id?: string): string =>
  id === undefined ? `data: ${json}\n\n` : `id: ${id}\ndata: ${json}\n\n`

/** An encoded frame: a string or bytes for a text frame, bytes for a binary frame. */
export type Frame = string | Uint8Array

/** The fields of an answer as JSON text of one object. */
export class JsonFields {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

/** Without `useToJSON`, a key `toJSON` or `constructor` in the data of an application is a key like others. */
const packr = new Packr({ useRecords: false, useToJSON: false })
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true, int64AsType: 'number' })
const mapUnpackr = new Unpackr({ useRecords: false, mapsAsObjects: false, int64AsType: 'number' })

/** Converts nested maps to objects in which every key is an own property. */
const asObjects = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(asObjects)
  if (!(value instanceof Map)) return value
  return Object.fromEntries(Array.from(value, ([key, item]) => [key, asObjects(item)]))
}

/**
 * The fast decoder renames the key `__proto__`. It is a valid id, so frames that contain it are decoded the slow way.
 */
const unpack = (bytes: Buffer): unknown =>
  bytes.includes('__proto__') ? asObjects(mapUnpackr.unpack(bytes)) : unpackr.unpack(bytes)

/**
 * Returns the first supported subprotocol of a client's list; JSON for an empty list; undefined when none is supported.
 */
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
      ? 'A frame must be one JSON object in UTF-8.'
      : `A frame must be one MessagePack map in a binary frame: at most ${maxDepth} levels, no extension types.`,
  )

/**
 * Decodes a frame to an object, and does not keep its bytes. JSON may arrive in text and binary frames, MessagePack in
 * binary frames. Only the size of a frame limits the depth of JSON: the parser and the checks after it do not recurse.
 * Throws ConfabError BAD_REQUEST.
 */
export const decodeFrame = (
  message: ArrayBuffer,
  isBinary: boolean,
  encoding: Encoding,
): Record<string, unknown> => {
  const bytes = Buffer.from(message)
  let value: unknown
  if (encoding === 'json') {
    // The transport has checked the UTF-8 of text frames.
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

/** Bytes at the start of a frame in which an id of `Limits.idChars` characters ends. */
const startBytes = 512

/** Bytes of the size that follows the type of a map: 0 to 15 entries, and more. */
const mapSizes: Readonly<Record<number, number>> = { 222: 2, 223: 4 }

/** Returns the text at the start of a map of MessagePack whose first key is `id`, if it is valid. */
const idOfMap = (bytes: Buffer): string | null => {
  const [type = 0] = bytes
  const at = 1 + (mapSizes[type] ?? 0)
  const isMap = (type & 0xf0) === 0x80 || type in mapSizes
  if (!isMap || bytes.toString('latin1', at, at + 3) !== '\xa2id') return null
  const kind = bytes[at + 3] ?? 0
  const isShort = (kind & 0xe0) === 0xa0
  if (!isShort && kind !== 0xd9) return null
  const length = isShort ? kind & 0x1f : (bytes[at + 4] ?? 0)
  const start = at + (isShort ? 4 : 5)
  const id = bytes.subarray(start, start + length)
  return id.length === length && isUtf8(id) ? id.toString() : null
}

/**
 * Returns the id of a frame that is not decoded, if it is the first field, as in frames of client libraries, and valid.
 */
export const leadingId = (message: ArrayBuffer, encoding: Encoding): string | null => {
  const bytes = Buffer.from(message, 0, Math.min(message.byteLength, startBytes))
  const id = encoding === 'json' ? idAtStart.exec(bytes.toString('utf8'))?.[1] : idOfMap(bytes)
  return id === undefined || id === null || id.length === 0 || id.length > Limits.idChars ? null : id
}

/** Encodes a push or an answer. */
export const encodeFrame = (encoding: Encoding, value: object): Frame => {
  if (encoding === 'msgpack') return packr.pack(value)
  const json = JSON.stringify(value)
  return encoding === 'sse' ? eventOf(json) : json
}

/** Converts JSON to MessagePack. */
export const transcode = (json: Uint8Array): Uint8Array =>
  packr.pack(JSON.parse(Buffer.from(json.buffer, json.byteOffset, json.byteLength).toString('utf8')))

/** Encodes the answer to a successful request. */
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

/** Encodes the answer to a failed request. `re` is null when the request has no readable id. */
export const encodeError = (encoding: Encoding, re: string | null, error: ErrorBody): Frame =>
  encodeFrame(encoding, { re, ok: false, error })
