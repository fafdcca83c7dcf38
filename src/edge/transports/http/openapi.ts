import { Requests } from '../../../events/index.ts'
import { ErrorSchema, eventSchemas, plain, requestSchemas, unitOfLengths } from './api-schemas.ts'

const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` })

const jsonContent = (schema: object) => ({ 'application/json': { schema } })

const refused = {
  description: 'The request failed. The status belongs to the error code',
  content: jsonContent(ref('Refusal')),
}

const answered = (description: string, properties: object) => ({
  '200': { description, content: jsonContent({ type: 'object', properties }) },
  default: refused,
})

/** Returns the fields of a request as parameters of a route. */
const parameters = (t: 'history' | 'inbox' | 'undelivered' | 'search', inPath: readonly string[] = []) => {
  const schema = plain(Requests[t]) as { properties: Record<string, object>; required: string[] }
  return Object.entries(schema.properties)
    .filter(([name]) => name !== 'id' && name !== 't')
    .map(([name, property]) => ({
      name,
      in: inPath.includes(name) ? 'path' : 'query',
      required: schema.required.includes(name),
      schema: property,
    }))
}

const text = { type: 'string' }

const inPath = (name: string) => ({ name, in: 'path', required: true, schema: text })

const events = { type: 'array', items: { oneOf: Object.keys(eventSchemas()).map(ref) } }
const page = { type: 'array', items: { type: 'object' } }

const health = (summary: string) => ({
  get: {
    summary,
    security: [],
    responses: { '200': { description: 'Yes' }, '503': { description: 'No' } },
  },
})

let document: string | undefined

/** Returns the OpenAPI 3.1 document of the HTTP routes as JSON, generated from the schemas that check requests. */
export const openApiDocument = (): string => {
  document ??= JSON.stringify({
    openapi: '3.1.0',
    info: {
      title: 'confab',
      version: '1',
      description: `The HTTP routes of confab’s client protocol. ${unitOfLengths}`,
    },
    security: [{ token: [] }],
    paths: {
      '/v1/commands': {
        post: {
          summary: 'Send any request. The answer is the same as over the WebSocket',
          requestBody: {
            required: true,
            content: jsonContent({
              oneOf: Object.keys(requestSchemas()).map(ref),
              discriminator: { propertyName: 't' },
            }),
          },
          responses: answered('The answer', { re: { type: 'string' }, ok: { const: true } }),
        },
      },
      '/v1/conversations/{c}/events': {
        get: {
          summary: 'Get a page of the events of a conversation',
          parameters: parameters('history', ['c']),
          responses: answered('Events in ascending order', {
            events,
            head: { type: 'integer' },
            more: { type: 'boolean' },
          }),
        },
      },
      '/v1/conversations/{c}/media/{mediaId}': {
        get: {
          summary: 'Download an attachment. Members only',
          parameters: [
            inPath('c'),
            inPath('mediaId'),
            { name: 'redirect', in: 'query', required: false, schema: { enum: ['false'] } },
          ],
          responses: {
            ...answered('The URL of the file, with redirect=false', {
              url: text,
              lifeMs: { type: 'integer' },
            }),
            '302': { description: 'Redirect to the signed URL of the file. The URL expires' },
          },
        },
      },
      '/v1/media/{mediaId}': {
        get: {
          summary: 'Get the state of an own upload',
          parameters: [inPath('mediaId')],
          responses: answered('The same fields as the answer to media', {
            mediaId: text,
            missing: { type: 'integer' },
          }),
        },
      },
      '/v1/media/{mediaId}/complete': {
        post: {
          summary: 'Verify a complete upload',
          parameters: [inPath('mediaId')],
          responses: {
            ...answered('The upload is verified. A message may attach it', {
              mediaId: text,
              verified: { const: true },
            }),
            '202': { description: 'The verification is still running. Repeat the request' },
          },
        },
      },
      '/v1/stream': {
        get: {
          summary: 'Receive the pushes of a session as Server-Sent Events',
          parameters: [
            {
              name: 'Last-Event-ID',
              in: 'header',
              required: false,
              schema: text,
              description: 'Continue after the event with this id',
            },
          ],
          responses: {
            '200': {
              description: 'An endless stream. Each message is a push, as over the WebSocket',
              content: { 'text/event-stream': { schema: text } },
            },
            default: refused,
          },
        },
      },
      '/v1/inbox': {
        get: {
          summary: 'List the own conversations, most recently active first',
          parameters: parameters('inbox'),
          responses: answered('A page', { items: page, cursor: { type: 'string' } }),
        },
      },
      '/v1/undelivered': {
        get: {
          summary: 'List messages that no device of the user has received',
          parameters: parameters('undelivered'),
          responses: answered('A page', { messages: page, cursor: { type: 'string' } }),
        },
      },
      '/v1/search': {
        get: {
          summary: 'Search messages in the own conversations',
          parameters: parameters('search'),
          responses: answered('A page, newest first', { hits: page, cursor: { type: 'string' } }),
        },
      },
      '/healthz': health('Check that the process is alive'),
      '/readyz': health('Check that this node can serve clients'),
    },
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } },
      schemas: {
        ...requestSchemas(),
        ...eventSchemas(),
        Error: plain(ErrorSchema),
        Refusal: {
          type: 'object',
          properties: { re: { type: ['string', 'null'] }, ok: { const: false }, error: ref('Error') },
          required: ['ok', 'error'],
        },
      },
    },
  })
  return document
}
