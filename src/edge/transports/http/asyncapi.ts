import { CallData, CallKind, Hello, type Request, Requests, Subprotocol } from '../../../events/index.ts'
import { ErrorSchema, eventSchemas, plain, requestSchemas, summaries, unitOfLengths } from './api-schemas.ts'

const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` })

const object = (properties: Record<string, object>, required = Object.keys(properties)) => ({
  type: 'object',
  properties,
  required,
})

const text = { type: 'string' }
const count = { type: 'integer', minimum: 0 }

/** Schemas of the pushes that are not events. */
const pushSchemas: Readonly<Record<string, object>> = {
  typing: object({
    t: { const: 'signal' },
    type: { const: 'typing' },
    c: text,
    user: text,
    on: { type: 'boolean' },
  }),
  presence: object({
    t: { const: 'signal' },
    type: { const: 'presence' },
    user: text,
    state: { enum: ['online', 'away', 'offline'] },
  }),
  receipt: object({
    t: { const: 'signal' },
    type: { const: 'receipt' },
    c: text,
    user: text,
    read: count,
    delivered: count,
  }),
  call: object(
    {
      t: { const: 'signal' },
      type: { const: 'call' },
      c: text,
      user: text,
      session: text,
      call: text,
      kind: plain(CallKind),
      data: plain(CallData),
    },
    ['t', 'type', 'c', 'user', 'call', 'kind'],
  ),
  inbox: object({ t: { const: 'inbox' }, c: text, unread: count, read: count, head: count }),
  synced: object({ t: { const: 'synced' }, c: text, seq: count }),
  refetch: object({
    t: { const: 'refetch' },
    c: text,
    head: count,
    reason: { enum: ['too_far', 'epoch', 'unknown', 'not_member'] },
  }),
  drain: object({ t: { const: 'drain' }, reconnectMs: count }),
}

const answerSchema = {
  oneOf: [
    object({ re: text, ok: { const: true } }),
    object({ re: { type: ['string', 'null'] }, ok: { const: false }, error: ref('Error') }),
  ],
}

const message = (name: string, schema: string, summary?: string) => ({
  name,
  ...(summary === undefined ? {} : { summary }),
  payload: ref(schema),
})

const messages = () => ({
  hello: message('hello', 'helloRequest', 'Authenticate the connection. Must be the first frame'),
  ...Object.fromEntries(
    Object.keys(Requests).map(t => [t, message(t, `${t}Request`, summaries[t as Request['t']])]),
  ),
  answer: message('answer', 'Answer', 'The answer to a request. Each request has exactly one'),
  ...Object.fromEntries(Object.keys(eventSchemas()).map(type => [type, message(type, type)])),
  ...Object.fromEntries(
    Object.keys(pushSchemas).map(name => [`push.${name}`, message(name, `push.${name}`)]),
  ),
})

const inChannel = (name: string) => ({ $ref: `#/channels/socket/messages/${name}` })

let document: string | undefined

/** Returns the AsyncAPI 3.0 document of the WebSocket as JSON, generated from the schemas that check frames. */
export const asyncApiDocument = (): string => {
  if (document !== undefined) return document
  const all = messages()
  const requests = ['hello', ...Object.keys(Requests)]
  const pushes = Object.keys(all).filter(name => !requests.includes(name))
  document = JSON.stringify({
    asyncapi: '3.0.0',
    info: {
      title: 'confab',
      version: '1',
      description: `The WebSocket of confab’s client protocol. Subprotocol ${Subprotocol.json} (text frames) or ${Subprotocol.msgpack} (binary frames, the same objects). ${unitOfLengths}`,
    },
    defaultContentType: 'application/json',
    channels: {
      socket: {
        address: '/v1/ws',
        messages: Object.fromEntries(
          Object.keys(all).map(name => [name, { $ref: `#/components/messages/${name}` }]),
        ),
      },
    },
    operations: {
      request: {
        action: 'receive',
        channel: { $ref: '#/channels/socket' },
        messages: requests.map(inChannel),
      },
      push: { action: 'send', channel: { $ref: '#/channels/socket' }, messages: pushes.map(inChannel) },
    },
    components: {
      messages: all,
      schemas: {
        helloRequest: plain(Hello),
        ...requestSchemas(),
        ...eventSchemas(),
        ...Object.fromEntries(Object.entries(pushSchemas).map(([name, schema]) => [`push.${name}`, schema])),
        Answer: answerSchema,
        Error: plain(ErrorSchema),
      },
    },
  })
  return document
}
