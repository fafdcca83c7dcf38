import t from 'tap'
import { signDevToken } from '../../src/infra/tokens/index.ts'
import { startConfab, testSecret } from '../harness/confab.ts'

let isReady = true
const confab = await startConfab(t, {
  edge: {
    signDevToken: user => signDevToken(testSecret, user),
    readiness: async () => ({ disk: isReady }),
    corsOrigins: ['https://chat.example'],
    web: true,
  },
})
const bearer = async (user: string) => ({ authorization: `Bearer ${await confab.token(user)}` })

const get = async (path: string, headers: Record<string, string> = {}) => {
  const response = await fetch(confab.url + path, { headers })
  const text = await response.text()
  const isJson = response.headers.get('content-type')?.startsWith('application/json') === true
  return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text }
}

const post = async (
  body: string | Uint8Array<ArrayBuffer> | object,
  headers: Record<string, string> = {},
) => {
  const raw = typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body)
  const response = await fetch(`${confab.url}/v1/commands`, { method: 'POST', body: raw, headers })
  return { status: response.status, body: await response.json() }
}

t.test('commands: one request, one answer', async t => {
  const alice = await bearer('alice')
  t.match(await post({ id: '1', t: 'create', c: 'tea', kind: 'group', members: ['bob'] }, alice), {
    status: 200,
    body: { re: '1', ok: true, seq: 1 },
  })
  const send = { id: '2', t: 'send', c: 'tea', m: 'm1', text: 'ready' }
  t.match(await post(send, alice), { status: 200, body: { re: '2', ok: true, seq: 2, duplicate: false } })
  t.match(await post(send, alice), { body: { seq: 2, duplicate: true } })
  t.match(await post({ id: '3', t: 'read', c: 'tea', seq: 2 }, await bearer('bob')), { body: { seq: 2 } })
  t.match(await post({ id: '4', t: 'ping' }, alice), { body: { re: '4', at: String } })
  t.match(await post({ id: '5', t: 'presence', users: ['bob'] }, alice), {
    body: { states: { bob: 'offline' } },
  })
})

t.test('errors have the status of their code', async t => {
  const alice = await bearer('alice')
  const cases: [
    body: Parameters<typeof post>[0],
    headers: Record<string, string>,
    status: number,
    error: object,
    re?: string | null,
  ][] = [
    [{ id: '1', t: 'ping' }, {}, 401, { code: 'UNAUTHENTICATED' }, null],
    [{ id: '1', t: 'ping' }, { authorization: 'Bearer nonsense' }, 401, { code: 'UNAUTHENTICATED' }, null],
    [{ id: '1', t: 'ping' }, { authorization: 'Basic YTpi' }, 401, { code: 'UNAUTHENTICATED' }, null],
    ['', alice, 400, { code: 'BAD_REQUEST' }, null],
    ['[1]', alice, 400, { code: 'BAD_REQUEST' }, null],
    [new Uint8Array([0x7b, 0xff, 0x7d]), alice, 400, { code: 'BAD_REQUEST' }, null],
    [{ t: 'ping' }, alice, 400, { code: 'BAD_REQUEST', field: '/id' }, null],
    [{ id: '1', t: 'dance' }, alice, 400, { code: 'BAD_REQUEST', field: '/t' }, '1'],
    [{ id: '1', t: 'hello', token: 'x' }, alice, 400, { code: 'BAD_REQUEST', field: '/t' }, '1'],
    [{ id: '1', t: 'sync', cursors: {} }, alice, 400, { code: 'BAD_REQUEST', field: '/t' }, '1'],
    [{ id: '1', t: 'history', c: 'nowhere' }, alice, 404, { code: 'NOT_FOUND' }, '1'],
    [
      { id: '1', t: 'create', c: 'tea', kind: 'group', members: [] },
      alice,
      409,
      { code: 'ALREADY_EXISTS' },
      '1',
    ],
    [
      { id: '1', t: 'send', c: 'tea', m: 'm9', text: 'x'.repeat(17_000) },
      alice,
      413,
      { code: 'TOO_LARGE', field: '/text' },
      '1',
    ],
    ['x'.repeat(70_000), alice, 413, { code: 'TOO_LARGE' }, null],
  ]
  for (const [body, headers, status, error, re] of cases)
    t.match(await post(body, headers), { status, body: { re, ok: false, error } }, JSON.stringify(error))
})

t.test('events, inbox and search', async t => {
  const bob = await bearer('bob')
  t.match(await get('/v1/conversations/tea/events', bob), {
    status: 200,
    body: { events: [{ seq: 1 }, { seq: 2 }], head: 2, more: false },
  })
  t.match(await get('/v1/conversations/tea/events?after=1&limit=1', bob), {
    body: { events: [{ seq: 2, text: 'ready' }] },
  })
  t.match(await get('/v1/conversations/tea/events?before=2', bob), { body: { events: [{ seq: 1 }] } })
  t.match(await get('/v1/conversations/tea/events?limit=x', bob), {
    status: 400,
    body: { error: { field: '/limit' } },
  })
  t.match(await get('/v1/conversations/nowhere/events', bob), {
    status: 404,
    body: { ok: false, error: { code: 'NOT_FOUND' } },
  })
  t.match(await get('/v1/conversations/tea/events', await bearer('eve')), { status: 404 })
  t.match(await get('/v1/conversations/tea/events'), { status: 401 })
  t.equal((await get('/v1/inbox')).headers.get('www-authenticate'), 'Bearer')
  t.match(await get('/v1/inbox?limit=1', bob), { body: { items: [{ c: 'tea', head: 2, unread: 0 }] } })
  t.match(await get('/v1/search?q=ready&hasMedia=false', bob), {
    status: 200,
    body: { hits: [{ c: 'tea', seq: 2 }] },
  })
  t.match(await get('/v1/search?q=ready&hasMedia=maybe', bob), { status: 400 })
  t.match(await get('/v1/search', bob), { status: 400, body: { error: { field: '/q' } } })
  t.match(await get('/v1/search?q=ready&t=ping&id=7', bob), { status: 200 })
})

t.test('HEAD is GET without the body', async t => {
  const bob = await bearer('bob')
  const paths = [
    '/v1/inbox',
    '/v1/conversations/tea/events',
    '/v1/search',
    '/v1/inbox?limit=x',
    '/healthz',
    '/v1/openapi.json',
    '/',
    '/client/index.ts',
    '/nothing/here',
  ]
  for (const path of paths) {
    const [got, head] = await Promise.all(
      ['GET', 'HEAD'].map(method => fetch(confab.url + path, { method, headers: bob })),
    )
    t.equal(head!.status, got!.status, path)
    t.equal(await head!.text(), '')
    const ofBody = ({ headers }: Response) => [headers.get('content-type'), headers.get('content-length')]
    t.same(ofBody(head!), ofBody(got!))
  }
  t.equal((await fetch(`${confab.url}/v1/inbox`, { method: 'HEAD' })).status, 401)
  const stream = await fetch(`${confab.url}/v1/stream`, { method: 'HEAD', headers: bob })
  t.match(stream, { status: 200 })
  t.equal(stream.headers.get('content-type'), 'text/event-stream')
  t.equal(await stream.text(), '', 'no stream is opened')
})

t.test('another method, another path', async t => {
  const refused = async (method: string, path: string, body?: string) => {
    const headers = { origin: 'https://chat.example' }
    const answer = await fetch(confab.url + path, {
      method,
      headers,
      ...(body === undefined ? {} : { body }),
    })
    t.equal(answer.headers.get('access-control-allow-origin'), 'https://chat.example')
    return { status: answer.status, allow: answer.headers.get('allow'), body: await answer.json() }
  }
  const notAllowed = { ok: false, error: { code: 'METHOD_NOT_ALLOWED', retryable: false } }
  const cases: [method: string, path: string, allow: string][] = [
    ['GET', '/v1/commands', 'POST'],
    ['DELETE', '/v1/commands', 'POST'],
    ['PUT', '/v1/conversations/tea/events', 'GET, HEAD'],
    ['PATCH', '/v1/media/transfer', 'GET, HEAD, PUT'],
    ['GET', '/v1/media/m-1/complete', 'POST'],
    ['DELETE', '/v1/stream', 'GET, HEAD'],
    ['OPTIONS', '/healthz', 'GET, HEAD'],
    ['DELETE', '/index.html', 'GET, HEAD'],
  ]
  for (const [method, path, allow] of cases)
    t.match(await refused(method, path), { status: 405, allow, body: notAllowed }, `${method} ${path}`)
  t.match(await refused('POST', '/v1/inbox', 'x'.repeat(500_000)), { status: 405, body: notAllowed })
  for (const [method, path] of [
    ['GET', '/nothing/here'],
    ['POST', '/v1/nothing'],
    ['GET', '/v1/ws'],
    ['GET', '/v1/conversations//events/'],
  ] as const)
    t.match(
      await refused(method, path),
      { status: 404, allow: null, body: { ok: false, error: { code: 'NOT_FOUND' } } },
      `${method} ${path}`,
    )
  t.match(await get('/healthz'), { status: 200 })
})

t.test('health, and readiness without details', async t => {
  t.match(await get('/healthz'), { status: 200 })
  t.same((await get('/readyz')).body, { ok: true })
  t.same(await confab.edge.readiness(), {
    feed: true,
    revocations: true,
    roster: true,
    accepting: true,
    disk: true,
  })
  isReady = false
  const unready = await get('/readyz')
  t.equal(unready.status, 503)
  t.same(unready.body, { ok: false })
  isReady = true
  t.match(await get('/metrics'), { status: 404 })
  t.match(await confab.metrics(), /confab_edge_requests_total\{type="send",outcome="ok"\} 2/)
})

t.test('development tokens are accepted here', async t => {
  const { body } = await get('/v1/dev/token?user=alice')
  t.match(await get('/v1/inbox', { authorization: `Bearer ${body.token}` }), { status: 200 })
  t.match(await get('/v1/dev/token?user=a.b'), { status: 400 })
})

t.test('the machine-readable documents name every request and route', async t => {
  const openapi = (await get('/v1/openapi.json')).body
  t.match(openapi, {
    openapi: /^3\.1/,
    paths: { '/v1/commands': {}, '/v1/conversations/{c}/events': {}, '/v1/inbox': {}, '/v1/search': {} },
  })
  const asyncapi = (await get('/v1/asyncapi.json')).body
  t.match(asyncapi, { asyncapi: /^3\.0/, channels: { socket: { address: '/v1/ws' } } })
  const { Requests, ConversationEvents } = await import('../../src/events/index.ts')
  for (const type of Object.keys(Requests)) {
    t.ok(`${type}Request` in openapi.components.schemas, type)
    t.ok(`${type}Request` in asyncapi.components.schemas, type)
    t.ok(asyncapi.components.messages[type].summary, type)
  }
  for (const type of Object.keys(ConversationEvents)) t.ok(type in asyncapi.components.messages, type)
  for (const document of [openapi, asyncapi])
    for (const [, path] of JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g))
      t.ok(
        path!.split('/').reduce((at, key) => at?.[key], document),
        path!,
      )
})

t.test('browsers: allowed origins, and content security policy', async t => {
  const preflight = async (origin: string) =>
    await fetch(`${confab.url}/v1/commands`, {
      method: 'OPTIONS',
      headers: { origin, 'access-control-request-method': 'POST' },
    })
  const allowed = await preflight('https://chat.example')
  t.equal(allowed.status, 204)
  t.equal(allowed.headers.get('access-control-allow-origin'), 'https://chat.example')
  t.match(allowed.headers.get('access-control-allow-headers'), /authorization/)
  t.equal(allowed.headers.get('vary'), 'origin')
  t.equal(allowed.headers.get('access-control-allow-credentials'), null)
  t.equal(
    (await get('/healthz')).headers.get('vary'),
    'origin',
    'a cache must not serve it to another origin',
  )
  t.equal((await preflight('https://evil.example')).headers.get('access-control-allow-origin'), null)
  t.equal(
    (await get('/healthz', { origin: 'https://evil.example' })).headers.get('access-control-allow-origin'),
    null,
  )
  t.equal((await get('/healthz')).headers.get('x-content-type-options'), 'nosniff')
  t.match(await get('/nothing/here'), { status: 404 })
  t.match(await get('/../package.json'), { status: 404 })
  t.match(await get('/%2e%2e/package.json'), { status: 404 })
})

t.test('an aborted request does no harm', async t => {
  const given = new AbortController()
  const asked = fetch(`${confab.url}/v1/inbox`, { headers: await bearer('bob'), signal: given.signal })
  given.abort()
  await t.rejects(asked)
  t.match(await get('/healthz'), { status: 200 })
})

t.test('the log contains no private data', async t => {
  t.notMatch(JSON.stringify(confab.logged), /ready|Bearer|eyJ|127\.0\.0\.1/)
})
