import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { connect } from 'node:tls'
import t, { type Test } from 'tap'
import { openApiDocument } from '../../src/edge/transports/http/openapi.ts'
import { testAuthority } from '../harness/certificates.ts'
import { startConfab } from '../harness/confab.ts'

const authority = await testAuthority(t)
authority.trust()
const { certFile, keyFile } = await authority.server()
const confab = await startConfab(t, {
  edge: {
    web: true,
    tls: { certFile, keyFile, minVersion: '1.2' },
    hstsMs: 86_400_000,
    signDevToken: async () => 'token',
    acceptsHost: host => host.startsWith('localhost'),
    socketOrigins: ['self'],
  },
})
const url = `https://localhost:${confab.edge.port}`
const alice = { authorization: `Bearer ${await confab.token('alice')}` }

/** Requests whose answers differ: every route, and every way to refuse a request. */
const requests: readonly (readonly [method: string, path: string, status: number, more?: RequestInit])[] = [
  ['GET', '/', 200],
  ['HEAD', '/', 200],
  ['GET', '/index.html', 200],
  ['GET', '/call/', 200],
  ['GET', '/call/index.html', 200],
  ['GET', '/icon.svg', 200],
  ['GET', '/assets/none', 404],
  ['GET', '/healthz', 200],
  ['GET', '/readyz', 200],
  ['GET', '/v1/openapi.json', 200],
  ['GET', '/v1/asyncapi.json', 200],
  ['GET', '/v1/dev/token?user=alice', 200],
  ['GET', '/v1/inbox', 200, { headers: alice }],
  ['GET', '/v1/inbox', 401],
  ['GET', '/v1/undelivered', 200, { headers: alice }],
  ['GET', '/v1/invitations', 200, { headers: alice }],
  ['GET', '/v1/search?q=x', 200, { headers: alice }],
  ['GET', '/v1/conversations/none/events', 404, { headers: alice }],
  ['GET', '/v1/conversations/none/media/none', 404, { headers: alice }],
  ['POST', '/v1/commands', 200, { headers: alice, body: '{"id":"1","t":"ping"}' }],
  ['POST', '/v1/commands', 400, { headers: alice, body: 'x' }],
  ['GET', '/v1/media/none', 404, { headers: alice }],
  ['POST', '/v1/media/none/complete', 404, { headers: alice }],
  ['GET', '/v1/media/transfer', 403],
  ['PUT', '/v1/media/transfer', 403, { body: 'x' }],
  ['GET', '/v1/stream', 200, { headers: alice }],
  ['GET', '/v1/stream', 401],
  ['OPTIONS', '/v1/inbox', 204],
  ['DELETE', '/v1/inbox', 405],
  ['GET', '/none', 404],
]

const isPage = (path: string): boolean => /\/$|\.html$/.test(path)

const check = (t: Test, name: string, path: string, headers: Headers): void => {
  t.equal(headers.get('x-content-type-options'), 'nosniff', name)
  t.equal(headers.get('referrer-policy'), 'no-referrer', name)
  t.equal(headers.get('strict-transport-security'), 'max-age=86400', name)
  const [csp, opener, permissions] = [
    'content-security-policy',
    'cross-origin-opener-policy',
    'permissions-policy',
  ].map(header => headers.get(header))
  if (!isPage(path)) {
    t.same([opener, permissions], [null, null], `${name} is no page`)
    return
  }
  t.match(csp, /^default-src 'none'; .+frame-ancestors 'none'$/, name)
  t.equal(opener, 'same-origin', name)
  for (const feature of ['geolocation', 'payment', 'usb', 'display-capture'])
    t.match(permissions, `${feature}=()`, `${name}: ${feature}`)
  const allowed = path.startsWith('/call/') ? 'self' : ''
  for (const feature of ['camera', 'microphone'])
    t.match(permissions, `${feature}=(${allowed})`, `${name}: ${feature}`)
}

t.test('every answer has the headers of security, whatever the route and the outcome', async t => {
  for (const [method, path, status, more] of requests) {
    const stop = new AbortController()
    const answer = await fetch(`${url}${path}`, { method, signal: stop.signal, ...more })
    const name = `${method} ${path} ${status}`
    t.equal(answer.status, status, name)
    check(t, name, path, answer.headers)
    stop.abort()
  }
})

t.test('so have the answers to refused upgrades, ambiguous requests and unknown hosts', async t => {
  const raw = async (...lines: string[]): Promise<[status: string, headers: Headers]> => {
    const socket = connect({ host: 'localhost', port: confab.edge.port })
    socket.write(`${lines.join('\r\n')}\r\n\r\n`)
    let text = ''
    for await (const data of socket as AsyncIterable<Buffer>) {
      text += data.toString('latin1')
      if (text.includes('\r\n\r\n')) break
    }
    const [line = '', ...rest] = text.split('\r\n\r\n')[0]!.split('\r\n')
    return [line, new Headers(rest.map(header => header.split(': ') as [string, string]))]
  }
  const upgrade = [
    'GET /v1/ws HTTP/1.1',
    'Host: localhost',
    'Upgrade: websocket',
    'Connection: Upgrade',
  ].concat('Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==', 'Sec-WebSocket-Version: 13')
  for (const [name, status, ...lines] of [
    ['an origin that may not open sockets', / 403 /, ...upgrade, 'Origin: https://other.example'],
    ['an unknown subprotocol', / 400 /, ...upgrade, 'Sec-WebSocket-Protocol: other'],
    ['two lengths', / 400 /, 'GET / HTTP/1.1', 'Host: localhost', 'Content-Length: 1', 'Content-Length: 2'],
    ['an unknown host', / 403 /, 'GET / HTTP/1.1', 'Host: other.example'],
  ] as const) {
    const [line, headers] = await raw(...lines)
    t.match(line, status, name)
    check(t, name, 'none', headers)
  }
})

t.test('the table has every route of the API document', async t => {
  const { paths } = JSON.parse(openApiDocument()) as { paths: Record<string, Record<string, unknown>> }
  const known = requests.map(([method, path]) => `${method} ${path.split('?')[0]}`)
  let checked = 0
  for (const [path, methods] of Object.entries(paths))
    for (const method of Object.keys(methods).filter(name => /^(get|post|put|delete)$/.test(name))) {
      checked++
      const pattern = new RegExp(`^${method.toUpperCase()} ${path.replaceAll(/\{\w+\}/g, '[^/]+')}$`)
      t.ok(
        known.some(one => pattern.test(one)),
        `${method} ${path}`,
      )
    }
  t.ok(checked > 8, `${checked} routes`)
})

t.test('one function writes the heads of all answers', async t => {
  const folder = resolve(import.meta.dirname, '../../src/edge')
  const writers = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(
    name => name.endsWith('.ts') && readFileSync(join(folder, name), 'utf8').includes('writeStatus('),
  )
  t.same(writers, ['transports/http/answer-headers.ts'])
})
