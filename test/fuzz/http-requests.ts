import fc from 'fast-check'
import { changed, type Fields, type FuzzedRequest, requests } from './arbitrary-requests.ts'
import { Earlier, files, strangers, stringsByField } from './vocabulary.ts'

/** How the end of a body is announced. All but the first two are wrong. */
type Framing = 'length' | 'chunks' | 'short' | 'long' | 'both' | 'twice' | 'none' | 'bad chunks'

export interface HttpRequest {
  readonly method: string
  /** Path and query. A name such as `$mediaId` is replaced by a value of an earlier answer. */
  readonly path: string
  readonly token: 'own' | 'none' | 'junk' | 'forged' | 'admin'
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly body: { readonly json: FuzzedRequest } | { readonly file: number } | undefined
  readonly framing: Framing
  /** The type of request that a JSON answer belongs to. */
  readonly type: string | undefined
}

/** Any value as a text of a URL. Some objects have no text. */
const textOf = (value: unknown): string =>
  typeof value === 'object' && value !== null
    ? Object.entries(value)
        .map(([c, seq]) => `${c}:${typeof seq === 'object' ? '' : seq}`)
        .join(',')
    : String(value)

/** As `encodeURIComponent`, for texts that are not well-formed. */
const inUrl = (text: string): string => encodeURIComponent(text.toWellFormed())

const queryOf = (fields: Fields, names: readonly string[]): string =>
  Object.entries(fields)
    .filter(([name]) => !names.includes(name))
    .map(([name, value]) => `${inUrl(name)}=${inUrl(textOf(value))}`)
    .join('&')
    .slice(0, 3_000)

const queries: Readonly<Record<string, (fields: Fields) => string>> = {
  history: fields => `/v1/conversations/${inUrl(textOf(fields.c)).slice(0, 300)}/events`,
  inbox: () => '/v1/inbox',
  undelivered: () => '/v1/undelivered',
  search: () => '/v1/search',
}

type Route = Pick<HttpRequest, 'method' | 'path' | 'body' | 'type'>

/** A request of a type over a route of its own or over `POST /v1/commands`. */
const routeOfRequest = fc.tuple(requests, fc.boolean()).map(([request, isQuery]): Route => {
  const { t } = request.fields
  const pathOf = queries[t as string]
  const isPlain = request.changes.length === 0
  if (pathOf === undefined || !isQuery)
    return {
      method: 'POST',
      path: '/v1/commands',
      body: { json: request },
      type: isPlain ? String(t) : undefined,
    }
  const fields = changed(request, 'x')
  return {
    method: 'GET',
    path: `${pathOf(fields)}?${queryOf(fields, ['id', 't', ...(t === 'history' ? ['c'] : [])])}`,
    body: undefined,
    type: String(t),
  }
})

const id = fc.oneof(
  { weight: 4, arbitrary: stringsByField.c! },
  { weight: 4, arbitrary: stringsByField.mediaId! },
  {
    weight: 1,
    arbitrary: fc.constantFrom('*', '>', 'a.b', '%FF'.repeat(600), '..', '%2e%2e%2f', '\x01', ''),
  },
)
const route = (method: string, path: string, body?: HttpRequest['body']): Route => ({
  method,
  path,
  body,
  type: undefined,
})

const anyFile = fc.nat({ max: files.length - 1 })
const otherRoutes: fc.Arbitrary<Route> = fc.oneof(
  fc
    .constantFrom(
      '/healthz',
      '/readyz',
      '/metrics',
      '/',
      '/call/',
      '/assets/x',
      '/../../etc/passwd',
      '/v1/openapi.json',
      '/v1/asyncapi.json',
      '/v1/dev/token?user=stranger-1',
      '/v1/dev/token?user=*',
      '/v1/ws',
      '/v1/admin/configuration',
      `/v1/${'x/'.repeat(1_500)}`,
    )
    .map(path => route('GET', path)),
  id.map(mediaId => route('GET', `/v1/media/${mediaId}`)),
  id.map(mediaId => route('POST', `/v1/media/${mediaId}/complete`)),
  fc
    .tuple(id, id, fc.constantFrom('', '?redirect=false'))
    .map(([c, mediaId, query]) => route('GET', `/v1/conversations/${c}/media/${mediaId}${query}`)),
  anyFile.map(file => route('PUT', Earlier.upload, { file })),
  fc
    .constantFrom(Earlier.download, Earlier.upload, '/v1/media/transfer?op=get&key=x')
    .map(path => route('GET', path)),
)

const token = fc.oneof(
  { weight: 12, arbitrary: fc.constant('own' as const) },
  { weight: 1, arbitrary: fc.constantFrom('none' as const, 'junk' as const, 'forged' as const) },
)
const framing = fc.oneof(
  { weight: 10, arbitrary: fc.constantFrom<Framing>('length', 'chunks') },
  {
    weight: 1,
    arbitrary: fc.constantFrom<Framing>('short', 'long', 'both', 'twice', 'none', 'bad chunks'),
  },
)
const headers = fc.array(
  fc.constantFrom<(readonly [string, string])[]>(
    ['Origin', 'https://evil.example'],
    ['Range', 'bytes=0-1'],
    ['Range', 'bytes=-0'],
    ['Range', `bytes=${'9'.repeat(400)}-`],
    ['X-Forwarded-For', '203.0.113.1, x, ::1'],
    ['traceparent', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'],
    ['If-None-Match', '*'],
    ['Accept-Encoding', 'br;q=0, gzip, *'],
    ['Expect', '100-continue'],
    ['Cookie', 'a='.repeat(500)],
    ['Content-Type', 'application/x-www-form-urlencoded'],
    ['Connection', 'close'],
    ['Upgrade', 'h2c'],
    ['Last-Event-ID', 'x'],
    ['X', '\xff\xfe'],
    ['X'.repeat(3_000), 'x'],
  ),
  { maxLength: 3 },
)
const methods = fc.constantFrom(
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'DELETE',
  'OPTIONS',
  'PATCH',
  'TRACE',
  'CONNECT',
  'get',
  'X',
)

/** Requests for all routes, most of them with a method that the route has. */
export const httpRequests: fc.Arbitrary<HttpRequest> = fc
  .tuple(
    fc.oneof({ weight: 3, arbitrary: routeOfRequest }, { weight: 2, arbitrary: otherRoutes }),
    fc.oneof({ weight: 7, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: methods }),
    token,
    headers,
    framing,
  )
  .map(([route, method, token, headers, framing]) => ({
    ...route,
    ...(method === undefined ? {} : { method, type: undefined }),
    token,
    headers,
    framing,
  }))

/** Methods that every server reads. CONNECT has a target of another form. */
const knownMethods: ReadonlySet<string> = new Set([
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'DELETE',
  'OPTIONS',
  'PATCH',
])

/** Whether the server has to answer a request: its bytes keep all rules of HTTP. */
export const isWellFormed = ({ method, path, headers, framing, body }: HttpRequest): boolean =>
  knownMethods.has(method) &&
  /^\/[\x21-\x7e]*$/.test(path) &&
  path.length < 3_000 &&
  headers.every(([name, value]) => name.length < 100 && /^[\x20-\x7e]*$/.test(value)) &&
  (body === undefined || framing === 'length' || framing === 'chunks')

const chunk = (bytes: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')])

const framed = (bytes: Buffer, framing: Framing): { heads: string[]; body: Buffer } => {
  const { length } = bytes
  const half = length >> 1
  const chunks = Buffer.concat([
    ...(half > 0 ? [chunk(bytes.subarray(0, half))] : []),
    ...(length > half ? [chunk(bytes.subarray(half))] : []),
    Buffer.from('0\r\n\r\n'),
  ])
  const lengthIs = (count: number) => `Content-Length: ${count}`
  switch (framing) {
    case 'length':
      return { heads: [lengthIs(length)], body: bytes }
    case 'chunks':
      return { heads: ['Transfer-Encoding: chunked'], body: chunks }
    case 'short':
      return { heads: [lengthIs(length + 20)], body: bytes }
    case 'long':
      return { heads: [lengthIs(half)], body: bytes }
    case 'both':
      return { heads: [lengthIs(length), 'Transfer-Encoding: chunked'], body: chunks }
    case 'twice':
      return { heads: [lengthIs(length), lengthIs(length + 1)], body: bytes }
    case 'none':
      return { heads: [], body: bytes }
    case 'bad chunks':
      return { heads: ['Transfer-Encoding: chunked'], body: Buffer.from('-1\r\nx\r\nfffffffffffffffff\r\n') }
  }
}

/** Tokens of a client by name, and the values of earlier answers. */
export interface Sender {
  readonly tokens: Readonly<Record<HttpRequest['token'], string | undefined>>
  filled(fields: Fields): Fields
}

/** Returns the bytes of a request. */
export const bytesOf = (request: HttpRequest, id: string, { tokens, filled }: Sender): Buffer => {
  const { method, body, headers, framing } = request
  const token = tokens[request.token]
  const content =
    body === undefined
      ? undefined
      : 'json' in body
        ? Buffer.from(JSON.stringify(filled(changed(body.json, id))))
        : files[body.file]!.bytes
  const { heads, body: sent } =
    content === undefined ? { heads: [], body: Buffer.alloc(0) } : framed(content, framing)
  const head = [
    `${method} ${request.path} HTTP/1.1`,
    'Host: localhost',
    ...(token === undefined ? [] : [`Authorization: Bearer ${token}`]),
    ...headers.map(([name, value]) => `${name}: ${value}`),
    ...heads,
    '',
    '',
  ].join('\r\n')
  return Buffer.concat([Buffer.from(head, 'latin1'), sent])
}

export const strangerOf = (index: number): string => strangers[index % strangers.length]!
