import { isUtf8 } from 'node:buffer'
import { join } from 'node:path'
import type { ServiceDefinition } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { ConfabError, Limits } from '../../../events/index.ts'
import type { Frame } from '../../sessions/frames.ts'

const { 'confab.v1.Confab': loaded } = loadSync(join(import.meta.dirname, 'confab.proto'), {
  longs: Number,
  // Fields without a value get the default. Only `optional` fields may be missing, as in the protocol.
  defaults: true,
})
const { Session } = loaded as ServiceDefinition

/** Decodes a `Request` message. Throws for invalid bytes. */
export const readRequest = (bytes: Buffer): Record<string, unknown> =>
  Session!.requestDeserialize(bytes) as Record<string, unknown>

/** Encodes a `Frame` message. Fields that the message type lacks are ignored. */
export const writeFrame = (frame: object): Buffer => Session!.responseSerialize(frame)

const unchanged = (bytes: Buffer): Buffer => bytes

/**
 * The service with messages as bytes. So the server answers invalid messages itself, and encodes a push to many
 * sessions once.
 */
export const service: ServiceDefinition = {
  Session: {
    ...Session!,
    requestSerialize: unchanged,
    requestDeserialize: unchanged,
    responseSerialize: unchanged,
    responseDeserialize: unchanged,
  },
}

type Fields = Record<string, unknown>
type Cursors = readonly { readonly c: string; readonly seq: number }[]

const notARequest = (): ConfabError =>
  new ConfabError('BAD_REQUEST', 'A message must be a confab.v1.Request.')

/**
 * Fields that are lists of cursors here: maps of some languages cannot hold the key `__proto__`. The `seen` of
 * `history` is a number.
 */
const cursorFields = ['resume', 'seen', 'cursors']
/** Lists that count as missing when they are empty, because proto3 has no optional lists. */
const optionalLists = ['resume', 'seen', 'attachments']

/** Converts the data of an application, which is JSON here, to a value. The request check refuses other texts. */
const dataFrom = (json: string): unknown => {
  try {
    return JSON.parse(json)
  } catch {
    return json
  }
}

/** Converts the data of an application, in an event, an answer or an item of it, to JSON. */
const withJson = (fields: Fields): Fields =>
  fields.data === undefined ? fields : { ...fields, data: JSON.stringify(fields.data) }

/** Converts the fields of a request that JSON represents differently. */
const toJsonFields = (t: string, fields: Fields): Fields => {
  const changed = { ...fields }
  for (const name of optionalLists)
    if ((fields[name] as unknown[] | undefined)?.length === 0) delete changed[name]
  for (const name of cursorFields)
    if (Array.isArray(changed[name]))
      changed[name] = Object.fromEntries((changed[name] as Cursors).map(({ c, seq }) => [c, seq]))
  if (t === 'presence' && fields.users !== undefined) changed.users = (fields.users as Fields).ids
  if (t !== 'call' && changed.data !== undefined) changed.data = dataFrom(changed.data as string)
  return changed
}

/**
 * Decodes a message to a request as in JSON: `{id, send: {c, …}}` becomes `{id, t: 'send', c, …}`. Throws
 * ConfabError BAD_REQUEST.
 */
export const decodeRequest = (bytes: Buffer): Fields => {
  let message: Fields
  try {
    message = readRequest(bytes)
  } catch {
    throw notARequest()
  }
  const { id, ...request } = message
  const [t, ...others] = Object.keys(request)
  if (others.length > 0) throw notARequest()
  // A request of a later version has no known field.
  return t === undefined ? { id } : { id, t, ...toJsonFields(t, request[t] as Fields) }
}

/** The tag of `id`, a string with field number 1. */
const idTag = 0x0a

/** Returns the id of a message that is not decoded, if the id is its first field. */
export const leadingMessageId = (bytes: Buffer): string | null => {
  const [tag, length = 0] = bytes
  // The length of a longer text has several bytes.
  if (tag !== idTag || length === 0 || length > 127 || bytes.length < 2 + length) return null
  const id = bytes.subarray(2, 2 + length)
  return isUtf8(id) && id.toString().length <= Limits.idChars ? id.toString() : null
}

/** Returns the field of an event type: `memberRoleChanged` for `member.role_changed`. */
const fieldOfType = (type: string): string =>
  type.replace(/[._]([a-z])/g, (_, letter: string) => letter.toUpperCase())

const eventOf = (event: Fields): Fields => ({
  ...event,
  [fieldOfType(event.type as string)]: withJson(event),
})

/** Converts the maps by user of a presence answer to a list. */
const statesOf = ({ states, lastSeen }: { states?: Fields; lastSeen?: Fields }): Fields =>
  states === undefined
    ? {}
    : {
        states: Object.entries(states).map(([user, state]) => ({ user, state, lastSeen: lastSeen?.[user] })),
        lastSeen: undefined,
      }

const answerOf = (answer: Fields): Fields => {
  const { events, profiles } = answer
  return {
    ...withJson(answer),
    ...(profiles === undefined ? {} : { profiles: (profiles as Fields[]).map(withJson) }),
    ...(events === undefined ? {} : { events: (events as Fields[]).map(eventOf) }),
    ...statesOf(answer),
  }
}

/** Converts an answer or push from JSON to a `Frame`. */
const frameOf = (value: Fields): Fields => {
  const { t, type } = value
  if (t === undefined) return { answer: answerOf(value) }
  if (t === 'event') return { event: eventOf(value) }
  if (t === 'signal') return { signal: { [type as string]: value } }
  return { [t as string]: value }
}

/** Encoded pushes by their JSON, which all sessions share: each push is encoded once. */
const encoded = new WeakMap<Uint8Array, Buffer>()

const writeJson = (json: string): Buffer => writeFrame(frameOf(JSON.parse(json) as Fields))

/** Encodes a JSON frame as a message. */
export const encodeMessage = (json: Frame): Buffer => {
  if (typeof json === 'string') return writeJson(json)
  let bytes = encoded.get(json)
  if (bytes === undefined) {
    bytes = writeJson(Buffer.from(json.buffer, json.byteOffset, json.byteLength).toString())
    encoded.set(json, bytes)
  }
  return bytes
}
