import { Requests } from '../../../events/index.ts'
import { ErrorSchema, eventSchemas, plain, requestSchemas, unitOfLengths } from './api-schemas.ts'

const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` })

const jsonContent = (schema: object) => ({ 'application/json': { schema } })

const refused = {
  description: 'It was refused; the status is that of the error’s code',
  content: jsonContent(ref('Refusal')),
}

const answered = (description: string, properties: object) => ({
  '200': { description, content: jsonContent({ type: 'object', properties }) },
  default: refused,
})

/** The query parameters of a request's fields, less the ones of the path. */
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

/** OpenAPI 3.1 of the HTTP routes, as JSON. Made from the schemas that requests are checked with. */
export const openApiDocument = (): string => {
  document ??= JSON.stringify({
    openapi: '3.1.0',
    info: {
      title: 'confab',
      version: '1',
      description: `The HTTP side of confab’s client protocol. ${unitOfLengths}`,
    },
    security: [{ token: [] }],
    paths: {
      '/v1/commands': {
        post: {
          summary: 'One request, one answer, as over the socket',
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
          summary: 'A page of a conversation’s events',
          parameters: parameters('history', ['c']),
          responses: answered('Events, ascending', {
            events,
            head: { type: 'integer' },
            more: { type: 'boolean' },
          }),
        },
      },
      '/v1/conversations/{c}/media/{mediaId}': {
        get: {
          summary: 'An attachment, for members',
          parameters: [
            inPath('c'),
            inPath('mediaId'),
            { name: 'redirect', in: 'query', required: false, schema: { enum: ['false'] } },
          ],
          responses: {
            ...answered('Where it is, with redirect=false', { url: text, lifeMs: { type: 'integer' } }),
            '302': { description: 'Where it is: good for whoever has it, for a while' },
          },
        },
      },
      '/v1/media/{mediaId}': {
        get: {
          summary: 'How far an upload of one’s own has come',
          parameters: [inPath('mediaId')],
          responses: answered('As the answer to media', { mediaId: text, missing: { type: 'integer' } }),
        },
      },
      '/v1/media/{mediaId}/complete': {
        post: {
          summary: 'Verify an upload of which all parts have come',
          parameters: [inPath('mediaId')],
          responses: {
            ...answered('It may be sent', { mediaId: text, verified: { const: true } }),
            '202': { description: 'It is still being looked at: ask again' },
          },
        },
      },
      '/v1/stream': {
        get: {
          summary: 'The pushes of a session, as Server-Sent Events',
          parameters: [
            {
              name: 'Last-Event-ID',
              in: 'header',
              required: false,
              schema: text,
              description: 'To go on after the event with this id',
            },
          ],
          responses: {
            '200': {
              description: 'Goes on for as long as it can: each message is a push, as over the socket',
              content: { 'text/event-stream': { schema: text } },
            },
            default: refused,
          },
        },
      },
      '/v1/inbox': {
        get: {
          summary: 'One’s conversations, the last active first',
          parameters: parameters('inbox'),
          responses: answered('A page', { items: page, cursor: { type: 'string' } }),
        },
      },
      '/v1/undelivered': {
        get: {
          summary: 'Messages that wait for one’s devices',
          parameters: parameters('undelivered'),
          responses: answered('A page', { messages: page, cursor: { type: 'string' } }),
        },
      },
      '/v1/search': {
        get: {
          summary: 'Find messages in one’s conversations',
          parameters: parameters('search'),
          responses: answered('A page, newest first', { hits: page, cursor: { type: 'string' } }),
        },
      },
      '/healthz': health('Does the process live?'),
      '/readyz': health('Can it serve?'),
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
