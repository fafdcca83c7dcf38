import { fileURLToPath } from 'node:url'
import { loadSync, type MessageTypeDefinition } from '@grpc/proto-loader'
import t from 'tap'
import { decodeRequest, encodeMessage } from '../../src/edge/transports/grpc/grpc-messages.ts'
import { asyncApiDocument } from '../../src/edge/transports/http/asyncapi.ts'
import {
  type AnswerOf,
  ConversationEvents,
  Hello,
  type HelloAnswer,
  Requests,
  type RequestType,
} from '../../src/events/index.ts'

interface Field {
  readonly name: string
  readonly typeName: string
}
type Method = { requestSerialize(value: object): Buffer; responseDeserialize(bytes: Buffer): object }

const proto = fileURLToPath(new URL('../../src/edge/transports/grpc/confab.proto', import.meta.url))
const definition = loadSync(proto)
const { Session } = definition['confab.v1.Confab'] as unknown as { Session: Method }

const fieldsOf = (message: string): readonly Field[] =>
  ((definition[`confab.v1.${message}`] as MessageTypeDefinition<object, object>).type as { field: Field[] })
    .field
const names = (message: string) => fieldsOf(message).map(({ name }) => name)
/** Returns the message type of another message's field. */
const messageOf = (message: string, field: string): string | undefined =>
  fieldsOf(message).find(({ name }) => name === field)?.typeName

const without = (keys: readonly string[], ...others: string[]) =>
  new Set(keys.filter(key => !others.includes(key)))

t.test('each request of the protocol has its message with its fields and optional fields', async t => {
  const all = { hello: Hello, ...Requests }
  t.same(new Set(names('Request')), new Set(['id', ...Object.keys(all)]))
  for (const [type, schema] of Object.entries(all)) {
    const fields = without(Object.keys(schema.properties), 'id', 't')
    t.same(new Set(names(messageOf('Request', type)!)), fields, type)
    const empty = decodeRequest(Session.requestSerialize({ id: '1', [type]: {} }))
    const required = without(schema.required ?? [], 'id', 't')
    t.same(new Set(Object.keys(empty)), new Set(['id', 't', ...required]), `${type}, empty`)
    t.equal(empty.t, type)
  }
})

t.test('each event and push has its message, with its fields', async t => {
  for (const [type, schema] of Object.entries(ConversationEvents)) {
    const field = type.replace(/[._]([a-z])/g, (_, letter: string) => letter.toUpperCase())
    const fields = without(Object.keys(schema.properties), 't', 'c', 'seq', 'type', 'from', 'at')
    t.same(new Set(names(messageOf('Event', field)!)), fields, type)
  }
  t.equal(names('Event').length, 4 + Object.keys(ConversationEvents).length)
  const { components } = JSON.parse(asyncApiDocument()) as {
    components: { schemas: Record<string, { properties: Record<string, { const?: string }> }> }
  }
  for (const [name, { properties }] of Object.entries(components.schemas)) {
    if (!name.startsWith('push.')) continue
    const field = name.slice('push.'.length)
    const message = messageOf(properties.t?.const === 'signal' ? 'Signal' : 'Frame', field)
    t.ok(message, name)
    t.same(new Set(names(message!)), without(Object.keys(properties), 't', 'type'), name)
  }
})

type KeysOf<T> = T extends unknown ? keyof T : never

/** All fields that an answer may have: the compiler reports a missing one. */
const answers: Record<KeysOf<AnswerOf[RequestType]> | keyof HelloAnswer, true> = {
  seq: true,
  at: true,
  duplicate: true,
  user: true,
  session: true,
  epoch: true,
  heartbeatMs: true,
  limits: true,
  events: true,
  head: true,
  more: true,
  moreAfter: true,
  items: true,
  behind: true,
  messages: true,
  members: true,
  hits: true,
  states: true,
  sessions: true,
  cursor: true,
  mediaId: true,
  parts: true,
  missing: true,
  verified: true,
  name: true,
  type: true,
  complete: true,
  kind: true,
  title: true,
  memberCount: true,
  role: true,
  posting: true,
  slowModeSeconds: true,
  archived: true,
  bans: true,
  historyFrom: true,
  first: true,
  online: true,
  of: true,
  approximate: true,
  lastSeen: true,
  receipts: true,
  invitations: true,
  pending: true,
  open: true,
  c: true,
  created: true,
  data: true,
  profiles: true,
}

t.test('an answer has all fields of any answer', async t => {
  t.same(new Set(names('Answer')), new Set(['re', 'error', ...Object.keys(answers)]))
})

t.test('an invalid request is refused, whatever it is', async t => {
  for (const bytes of [Buffer.from('{"id":"1"}'), Buffer.alloc(50, 255), Buffer.from([0x0a, 0xff, 0xff])])
    t.throws(() => decodeRequest(bytes), { code: 'BAD_REQUEST' })
  const both = Buffer.concat(
    [{ id: '1', ping: {} }, { join: { c: 'tea' } }].map(part => Session.requestSerialize(part)),
  )
  t.throws(() => decodeRequest(both), { code: 'BAD_REQUEST' })
  t.same(decodeRequest(Buffer.alloc(0)), { id: '' })
})

t.test('maps by user become lists, and a push is serialised once', async t => {
  const states = { alice: 'online', carol: 'away', bob: 'offline' }
  const at = '2026-11-24T02:30:43.123Z'
  const json = JSON.stringify({ re: '1', ok: true, states, lastSeen: { bob: at } })
  t.match(Session.responseDeserialize(encodeMessage(json)), {
    answer: {
      re: '1',
      states: [
        { user: 'alice', state: 'online' },
        { user: 'carol', state: 'away' },
        { user: 'bob', state: 'offline', lastSeen: at },
      ],
    },
  })
  const push = Buffer.from(JSON.stringify({ t: 'synced', c: 'tea', seq: 7 }))
  t.equal(encodeMessage(push), encodeMessage(push))
  t.match(Session.responseDeserialize(encodeMessage(push)), { synced: { c: 'tea' } })
})
