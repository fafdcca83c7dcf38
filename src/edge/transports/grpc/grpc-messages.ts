import { join } from 'node:path'
import type { ServiceDefinition } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { ConfabError } from '../../../events/index.ts'
import type { Frame } from '../../sessions/frames.ts'

const { 'confab.v1.Confab': loaded } = loadSync(join(import.meta.dirname, 'confab.proto'), {
  longs: Number,
  // What is not sent is empty, unless it is `optional`: then it is not there, as in the protocol.
  defaults: true,
})
const { Session } = loaded as ServiceDefinition

/** A `Request` of its bytes. Throws when they are none. */
export const readRequest = (bytes: Buffer): Record<string, unknown> =>
  Session!.requestDeserialize(bytes) as Record<string, unknown>

/** The bytes of a `Frame`; fields that it has not are left out. */
export const writeFrame = (frame: object): Buffer => Session!.responseSerialize(frame)

const asItIs = (bytes: Buffer): Buffer => bytes

/** The service, its messages as bytes: what is wrong with one is answered, and what goes to many is written once. */
export const service: ServiceDefinition = {
  Session: {
    ...Session!,
    requestSerialize: asItIs,
    requestDeserialize: asItIs,
    responseSerialize: asItIs,
    responseDeserialize: asItIs,
  },
}

type Fields = Record<string, unknown>
type Cursors = readonly { readonly c: string; readonly seq: number }[]

const notARequest = (): ConfabError =>
  new ConfabError('BAD_REQUEST', 'A message has to be a confab.v1.Request.')

/** A map has no order of its own in proto3, and some languages' maps have no key `__proto__`: here cursors are a list. */
const cursorFields = ['resume', 'seen', 'cursors']
/** Lists can't be left out in proto3: in these, nothing at all is as good as nothing said. */
const optionalLists = ['resume', 'seen', 'attachments']

/** What is another way in JSON. */
const asInJson = (t: string, fields: Fields): Fields => {
  const changed = { ...fields }
  for (const name of optionalLists)
    if ((fields[name] as unknown[] | undefined)?.length === 0) delete changed[name]
  for (const name of cursorFields)
    if (changed[name] !== undefined)
      changed[name] = Object.fromEntries((changed[name] as Cursors).map(({ c, seq }) => [c, seq]))
  if (t === 'presence' && fields.users !== undefined) changed.users = (fields.users as Fields).ids
  return changed
}

/** The request that a message is, as JSON has it: `{id, send: {c, …}}` is `{id, t: 'send', c, …}`. Throws ConfabError BAD_REQUEST. */
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
  // One of a later version has nothing that is known here.
  return t === undefined ? { id } : { id, t, ...asInJson(t, request[t] as Fields) }
}

/** `member.role_changed` is the field `memberRoleChanged`. */
const fieldOfType = (type: string): string =>
  type.replace(/[._]([a-z])/g, (_, letter: string) => letter.toUpperCase())

const eventOf = (event: Fields): Fields => ({ ...event, [fieldOfType(event.type as string)]: event })

/** What presence has in maps by user. */
const statesOf = ({ states, lastSeen }: { states?: Fields; lastSeen?: Fields }): Fields =>
  states === undefined
    ? {}
    : {
        states: Object.entries(states).map(([user, state]) => ({ user, state, lastSeen: lastSeen?.[user] })),
        lastSeen: undefined,
      }

const answerOf = (answer: Fields): Fields => {
  const { events } = answer
  return {
    ...answer,
    ...(events === undefined ? {} : { events: (events as Fields[]).map(eventOf) }),
    ...statesOf(answer),
  }
}

/** The `Frame` of an answer or push as JSON has it. */
const frameOf = (value: Fields): Fields => {
  const { t, type } = value
  if (t === undefined) return { answer: answerOf(value) }
  if (t === 'event') return { event: eventOf(value) }
  if (t === 'signal') return { signal: { [type as string]: value } }
  return { [t as string]: value }
}

/** By their JSON, which all sessions of a push share: each push is written once. */
const written = new WeakMap<Uint8Array, Buffer>()

const writeJson = (json: string): Buffer => writeFrame(frameOf(JSON.parse(json) as Fields))

/** A frame of JSON, as a message. */
export const encodeMessage = (json: Frame): Buffer => {
  if (typeof json === 'string') return writeJson(json)
  let bytes = written.get(json)
  if (bytes === undefined) {
    bytes = writeJson(Buffer.from(json.buffer, json.byteOffset, json.byteLength).toString())
    written.set(json, bytes)
  }
  return bytes
}
