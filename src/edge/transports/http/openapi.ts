import { Answers, Requests, StreamPushes } from '../../../events/index.ts'
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

const jsonContent = (schema: object) => ({ 'application/json': { schema } })

const refused = {
  description: 'Error. The status is that of the error code.',
  content: jsonContent(ref('Refusal')),
}

const answered = (description: string, schema: object) => ({
  '200': { description, content: jsonContent(schema) },
  default: refused,
})

type QueryRequest = 'history' | 'inbox' | 'invitations' | 'undelivered' | 'search'

/** `seen` of an inbox is a map, which a query string writes as a list of pairs. */
const pairs = { type: 'string', pattern: '^([A-Za-z0-9_-]{1,64}:\\d{1,16}(,|$))*$', example: 'tea:7,milk:9' }

/** The parameters of the route of a request. Names in `inPath` are path parameters, the others query parameters. */
const parameters = (t: QueryRequest, inPath: readonly string[] = []) => {
  const schema = plain(Requests[t]) as { properties: Record<string, object>; required: string[] }
  return Object.entries(schema.properties)
    .filter(([name]) => name !== 'id' && name !== 't')
    .map(([name, property]) => {
      const { description, ...rest } = property as { description?: string; type?: string }
      return {
        name,
        in: inPath.includes(name) ? 'path' : 'query',
        required: schema.required.includes(name),
        description,
        schema: rest.type === 'object' ? pairs : rest,
      }
    })
}

const text = { type: 'string' }

const inPath = (name: string, description: string) => ({
  name,
  in: 'path',
  required: true,
  description,
  schema: text,
})
const mediaId = inPath('mediaId', 'Id of the upload.')

const health = (summary: string, description: string) => ({
  get: {
    summary,
    description,
    security: [],
    responses: { '200': { description: 'Yes.' }, '503': { description: 'No. The body has the reasons.' } },
  },
})

const withOk = (schema: object) => ({
  ...schema,
  allOf: [{ properties: { ok: { const: true } }, required: ['ok'] }],
})

const query = (t: QueryRequest, path: readonly string[] = []) => ({
  get: {
    summary: (Requests[t] as { description?: string }).description,
    parameters: parameters(t, path),
    responses: answered('The page.', ref(`${t}Answer`)),
  },
})

const upload = plain(Answers.media)

let document: string | undefined

/** The OpenAPI 3.1 document of the HTTP routes, as JSON, from the schemas that the server checks requests with. */
export const openApiDocument = (): string => {
  document ??= JSON.stringify({
    openapi: '3.1.0',
    info: {
      title: 'confab',
      version: '1',
      description: `The HTTP routes of the confab client protocol. ${unitOfLengths}`,
    },
    security: [{ token: [] }],
    paths: {
      '/v1/commands': {
        post: {
          summary: 'Answers one request, as the socket does.',
          description: 'Any request but `hello` and `sync`.',
          requestBody: {
            required: true,
            content: jsonContent({
              oneOf: Object.keys(requestSchemas()).map(ref),
              discriminator: { propertyName: 't' },
            }),
          },
          responses: answered('The answer.', okAnswer),
        },
      },
      '/v1/conversations/{c}/events': query('history', ['c']),
      '/v1/conversations/{c}/media/{mediaId}': {
        get: {
          summary: 'Redirects a member of the conversation to an attachment.',
          parameters: [
            inPath('c', 'Conversation id.'),
            mediaId,
            {
              name: 'redirect',
              in: 'query',
              required: false,
              description: '`false`: the answer has the URL, and does not redirect.',
              schema: { enum: ['false'] },
            },
          ],
          responses: {
            ...answered('The URL, with `redirect=false`.', {
              type: 'object',
              properties: {
                ok: { const: true },
                url: { ...text, description: 'Signed URL of the file. It needs no token.' },
                lifeMs: { type: 'integer', description: 'Time until the URL expires, in milliseconds.' },
              },
              required: ['ok', 'url', 'lifeMs'],
            }),
            '302': { description: 'Redirect to a signed URL of the file, which expires.' },
          },
        },
      },
      '/v1/media/{mediaId}': {
        get: {
          summary: 'Returns the state of an upload of the caller.',
          parameters: [mediaId],
          responses: answered('The state, as the answer to `media`.', withOk(upload)),
        },
      },
      '/v1/media/{mediaId}/complete': {
        post: {
          summary: 'Verifies an upload after all its parts have arrived.',
          parameters: [mediaId],
          responses: {
            ...answered('Verified: a message may attach the file.', {
              type: 'object',
              properties: { ok: { const: true }, mediaId: text, verified: { const: true } },
              required: ['ok', 'mediaId', 'verified'],
            }),
            '202': { description: 'The verification is in progress. Send the request again.' },
          },
        },
      },
      '/v1/stream': {
        get: {
          summary: 'Streams the pushes of a session as Server-Sent Events.',
          parameters: [
            {
              name: 'Last-Event-ID',
              in: 'header',
              required: false,
              schema: text,
              description: 'Resume after the event with this id.',
            },
          ],
          responses: {
            '200': {
              description: 'The stream. The `data` of each message is one push, as on the socket.',
              content: { 'text/event-stream': { schema: text } },
            },
            default: refused,
          },
        },
      },
      '/v1/inbox': query('inbox'),
      '/v1/invitations': query('invitations'),
      '/v1/undelivered': query('undelivered'),
      '/v1/search': query('search'),
      '/healthz': health('Liveness.', 'The process runs.'),
      '/readyz': health(
        'Readiness.',
        'The node can serve: NATS and the stores are reachable, the log has its leaders, projections run.',
      ),
    },
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } },
      schemas: {
        ...requestSchemas(),
        ...answerSchemas(),
        ...eventSchemas(),
        'stream.hello': plain(StreamPushes.hello),
        'stream.closed': plain(StreamPushes.closed),
        Error: plain(ErrorSchema),
        Refusal: errorAnswer,
      },
    },
  })
  return document
}
