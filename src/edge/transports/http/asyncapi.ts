import { Hello, HelloAnswer, Pushes, Requests, type RequestType, Subprotocol } from '../../../events/index.ts'
import {
  answerSchemas,
  ErrorSchema,
  errorAnswer,
  eventSchemas,
  okAnswer,
  plain,
  ref,
  requestSchemas,
  unitOfLengths,
} from './api-schemas.ts'

const message = (name: string, schema: string, summary: string | undefined) => ({
  name,
  ...(summary === undefined ? {} : { summary }),
  payload: ref(schema),
})

const summaryOf = (schema: object): string | undefined => (schema as { description?: string }).description

const messages = () => ({
  hello: message('hello', 'helloRequest', summaryOf(Hello)),
  ...Object.fromEntries(
    Object.keys(Requests).map(t => [t, message(t, `${t}Request`, summaryOf(Requests[t as RequestType]))]),
  ),
  answer: message('answer', 'Answer', 'The answer to a request. Each request gets exactly one.'),
  ...Object.fromEntries(
    Object.entries(eventSchemas()).map(([type, schema]) => [type, message(type, type, summaryOf(schema))]),
  ),
  ...Object.fromEntries(
    Object.entries(Pushes).map(([name, schema]) => [
      `push.${name}`,
      message(name, `push.${name}`, summaryOf(schema)),
    ]),
  ),
})

const inChannel = (name: string) => ({ $ref: `#/channels/socket/messages/${name}` })

let document: string | undefined

/** The AsyncAPI 3.0 document of the socket, as JSON, from the schemas that the server checks frames with. */
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
      description:
        'The WebSocket of the confab client protocol. Subprotocols: ' +
        `${Subprotocol.json} (text frames) and ${Subprotocol.msgpack} (binary frames with the same objects). ` +
        unitOfLengths,
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
        helloAnswer: plain(HelloAnswer),
        ...answerSchemas(),
        ...eventSchemas(),
        ...Object.fromEntries(
          Object.entries(Pushes).map(([name, schema]) => [`push.${name}`, plain(schema)]),
        ),
        Answer: {
          oneOf: [
            { ...okAnswer, anyOf: [...okAnswer.anyOf, ref('helloAnswer')] },
            { ...errorAnswer, required: ['re', ...errorAnswer.required] },
          ],
        },
        Error: plain(ErrorSchema),
      },
    },
  })
  return document
}
