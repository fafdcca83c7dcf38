import { connect } from 'node:net'
import t, { type Test } from 'tap'
import type { EdgeLimits } from '../../src/edge/index.ts'
import { MalformedRequests } from '../../src/edge/limits/malformed-requests.ts'
import { createEdgeMetrics, createRegistry } from '../../src/infra/telemetry/index.ts'
import { startConfab } from '../harness/confab.ts'

const confabOf = async (t: Test, given: Partial<EdgeLimits>) => {
  const registry = createRegistry()
  const confab = await startConfab(t, { limits: given, edge: { metrics: createEdgeMetrics(registry) } })
  /** Returns how often a limit refused. */
  const metrics = async (limit: string): Promise<number> => {
    const found = (await registry.metrics()).match(
      new RegExp(`^confab_edge_limited_total\\{.*limit="${limit}".*\\} (\\d+)$`, 'm'),
    )
    return Number(found?.[1] ?? 0)
  }
  return { ...confab, metrics }
}

const limits = { malformedRequests: 2, burstMs: 5_000, refusedMs: 30_000, meters: 100 }

t.test('an address is refused beyond the rate, for a while, and alone', async t => {
  let refused = 0
  const malformed = new MalformedRequests(limits, () => refused++)
  const isRefused = (address: string, now: number) => malformed.refuses(() => address, now)
  for (let n = 0; n < 10; n++) malformed.count('192.0.2.1', 0)
  t.notOk(isRefused('192.0.2.1', 0), 'a burst of 10 is allowed')
  malformed.count('192.0.2.1', 1)
  t.ok(isRefused('192.0.2.1', 1))
  t.notOk(isRefused('192.0.2.2', 1), 'other addresses are not')
  t.ok(isRefused('::ffff:192.0.2.1', 30_000), 'the address in another form')
  t.notOk(isRefused('192.0.2.1', 30_002), 'after a while it is accepted')
  t.equal(refused, 2)
  for (let n = 0; n < 11; n++) malformed.count(`2001:db8::${n}`, 40_000)
  t.ok(isRefused('2001:db8::ffff', 40_000), 'a /64 is one address')
  t.notOk(isRefused('2001:db8:0:1::1', 40_000))
})

t.test('a rate of 0 refuses none', async t => {
  const malformed = new MalformedRequests({ ...limits, malformedRequests: 0 }, () => {})
  for (let n = 0; n < 10_000; n++) malformed.count('192.0.2.1', 0)
  t.notOk(malformed.refuses(() => '192.0.2.1', 0))
})

/** Sends bytes on a connection of its own. Resolves with the answer when the server has closed the connection. */
const exchange = (port: number, text: string): Promise<string> =>
  new Promise(resolve => {
    const socket = connect(port, '127.0.0.1', () => socket.write(text))
    let received = ''
    socket.on('data', data => {
      received += data.toString('latin1')
    })
    socket.on('error', () => {})
    socket.on('close', () => resolve(received))
  })

const malformedRequest = (forwarded = ''): string =>
  `GET /healthz HTTP/1.1\r\nHost: x\r\n${forwarded}Content-Length: 1\r\nContent-Length: 2\r\n\r\n`
const healthy = (forwarded = ''): string =>
  `GET /healthz HTTP/1.1\r\nHost: x\r\n${forwarded}Connection: close\r\n\r\n`

t.test('malformed requests are counted, and connections of a refused address are closed unread', async t => {
  const { edge, connect, url, metrics } = await confabOf(t, { malformedRequests: 1 })
  const alice = await connect('alice')
  for (let n = 0; n < 20; n++) t.match(await exchange(edge.port, malformedRequest()), /^HTTP\/1\.1 400 /)
  await exchange(edge.port, malformedRequest())
  for (const text of [malformedRequest(), healthy(), 'GET /v1/ws HTTP/1.1\r\n'])
    t.equal(await exchange(edge.port, text), '')
  await t.rejects(fetch(`${url}/healthz`))
  await alice.ok('ping')
  t.ok((await metrics('malformed_requests')) >= 4, 'the refusals are counted')
})

t.test('behind a proxy, the client of the header is refused and others are not', async t => {
  const { edge } = await confabOf(t, { malformedRequests: 1, trustProxy: 1 })
  const [bad, good] = ['X-Forwarded-For: 192.0.2.1\r\n', 'X-Forwarded-For: 192.0.2.2\r\n']
  for (let n = 0; n < 21; n++) await exchange(edge.port, malformedRequest(bad))
  t.equal(await exchange(edge.port, healthy(bad)), '')
  t.match(await exchange(edge.port, healthy(good)), /^HTTP\/1\.1 200 /)
})

t.test('the answer to a malformed request is well-formed itself', async t => {
  const { edge } = await confabOf(t, {})
  const received = await exchange(edge.port, malformedRequest())
  const [head = '', body = ''] = received.split('\r\n\r\n')
  t.match(head, /^content-length: (\d+)$/im)
  t.notMatch(head, /transfer-encoding/i)
  t.equal(body.length, Number(/^content-length: (\d+)$/im.exec(head)?.[1]))
  t.match(JSON.parse(body), { ok: false, error: { code: 'BAD_REQUEST' } })
})

t.test('requests with a body that cannot be read count against the user', async t => {
  const confab = await confabOf(t, { userRequests: 2, burstMs: 1_000 })
  const headers = { authorization: `Bearer ${await confab.token('alice')}` }
  const post = async (body: BodyInit) =>
    (
      await fetch(`${confab.url}/v1/commands`, {
        method: 'POST',
        headers,
        body,
        duplex: 'half',
      } as RequestInit)
    ).status
  for (const send of [
    () => post('not JSON'),
    () => post('{}'),
    () => post(JSON.stringify({ id: '1', t: 'send', c: '*' })),
    () => post(new Blob(['{"id":1}']).stream()),
    async () => (await fetch(`${confab.url}/v1/search`, { headers })).status,
    async () => (await fetch(`${confab.url}/v1/conversations/*/events`, { headers })).status,
  ]) {
    const statuses: number[] = []
    while (!statuses.includes(429) && statuses.length < 100) statuses.push(await send())
    t.equal(statuses.at(-1), 429, `${send}`)
  }
})

t.test('frames without an id count too', async t => {
  const confab = await confabOf(t, { socketRequests: 2, burstMs: 1_000 })
  const alice = await confab.connect('alice')
  for (let n = 0; n < 50; n++) alice.send({ t: 'ping' })
  await alice.find(frame => (frame.error as { code?: string } | undefined)?.code === 'RATE_LIMITED')
  t.ok(alice.frames.some(({ error }) => (error as { code?: string } | undefined)?.code === 'BAD_REQUEST'))
})

t.test('a body without a valid token is not read', async t => {
  const { edge, url } = await confabOf(t, {})
  const head = 'POST /v1/commands HTTP/1.1\r\nHost: x\r\nContent-Length: 40\r\n'
  for (const authorization of ['', 'Authorization: Bearer forged\r\n', 'Authorization: Basic YTpi\r\n']) {
    // The body never arrives: the answer does not wait for it, and the connection is closed.
    const received = await exchange(edge.port, `${head}${authorization}\r\n`)
    t.match(received, /^HTTP\/1\.1 401 /, authorization)
    t.match(received, /^connection: close\r$/im, authorization)
  }
  const answer = await fetch(`${url}/v1/commands`, {
    method: 'POST',
    body: JSON.stringify({ id: 'mine', t: 'ping' }),
  })
  t.match(await answer.json(), { re: null, error: { code: 'UNAUTHENTICATED' } }, 'not even for its id')
})

t.test('requests that the transport refuses count as connections of their address', async t => {
  const refusedByTransport = [
    'GET / HTTP/1.0\r\n\r\n',
    'GET / HTTP/1.1\r\n\r\n',
    'GET  /\r\n\r\n',
    '\x00\x01\x02\r\n\r\n',
    'POST /v1/commands HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n',
    `GET / HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(70_000)}\r\n\r\n`,
  ]
  const other = await confabOf(t, {})
  for (const text of refusedByTransport) {
    const answer = await exchange(other.edge.port, `${text}${text}`)
    t.ok(answer.split('HTTP/1.1 ').length <= 2, 'at most one answer, and the connection is closed')
  }
  // One connection, and one more after twenty seconds.
  const confab = await confabOf(t, { addressConnects: 0.05 })
  await exchange(confab.edge.port, refusedByTransport[0]!)
  for (const text of refusedByTransport)
    t.equal(await exchange(confab.edge.port, text), '', 'connections are closed unread')
  await t.rejects(fetch(`${confab.url}/healthz`))
})
