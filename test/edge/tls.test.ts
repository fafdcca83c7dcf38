import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls, type SecureVersion, type TLSSocket } from 'node:tls'
import { credentials, status } from '@grpc/grpc-js'
import t, { type Test } from 'tap'
import type { EdgeOptions } from '../../src/edge/index.ts'
import { early, expired, type TestCertificate, testAuthority } from '../harness/certificates.ts'
import { type ConfabOptions, startConfab } from '../harness/confab.ts'
import { EventSourceClient } from '../harness/event-source.ts'
import { GrpcClient } from '../harness/grpc-client.ts'
import { RawClient } from '../harness/raw-client.ts'

const authority = await testAuthority(t)
authority.trust()

/** Starts a confab with TLS at its public listener and, with `grpcPort`, at gRPC. */
const startWithTls = async (
  t: Test,
  edge: Partial<EdgeOptions> = {},
  limits: ConfabOptions['limits'] = {},
) => {
  const { certFile, keyFile } = await authority.server()
  const confab = await startConfab(t, {
    limits,
    edge: { tls: { certFile, keyFile, minVersion: '1.2' }, hstsMs: 60_000, ...edge },
  })
  return { ...confab, url: `https://localhost:${confab.edge.port}` }
}

/** Shakes hands. Resolves with the socket, or rejects with the reason. */
const shake = async (port: number, options: object = {}): Promise<TLSSocket> => {
  const socket = connectTls({ host: 'localhost', port, ca: authority.ca, ...options })
  await once(socket, 'secureConnect')
  return socket
}

t.test('WebSockets, HTTP and event streams over TLS', async t => {
  const confab = await startWithTls(t)
  t.equal(confab.edge.protocol, 'https')
  const { url } = confab
  const alice = await RawClient.open(`${url.replace('https', 'wss')}/v1/ws`)
  t.teardown(() => alice.close())
  await alice.ok('hello', { token: await confab.token('alice') })
  await alice.ok('create', { c: 'tea', kind: 'group', members: ['bob'] })
  const stream = new EventSourceClient(url, await confab.token('bob'))
  t.teardown(() => stream.stop())
  await stream.until(() => stream.lastEventId !== '')
  const answer = await fetch(`${url}/v1/commands`, {
    method: 'POST',
    headers: { authorization: `Bearer ${await confab.token('bob')}` },
    body: JSON.stringify({ id: '1', t: 'send', c: 'tea', m: 'm', text: 'x'.repeat(8_000) }),
  })
  t.match(await answer.json(), { ok: true, seq: 2 })
  await alice.event('tea', 2)
  await stream.until(() => stream.events('tea').at(-1)?.seq === 2)
})

t.test('only strong suites and versions are accepted', async t => {
  const { edge } = await startWithTls(t)
  const accepts = async (options: object): Promise<string> => {
    try {
      const socket = await shake(edge.port, options)
      const agreed = `${socket.getProtocol()} ${socket.getCipher().name}`
      socket.destroy()
      return agreed
    } catch {
      return 'refused'
    }
  }
  const v12 = { maxVersion: 'TLSv1.2' as SecureVersion }
  t.match(await accepts({}), /^TLSv1\.3/)
  t.match(await accepts(v12), /^TLSv1\.2 ECDHE-ECDSA-/)
  for (const ciphers of ['ECDHE-ECDSA-AES128-SHA', 'AES128-GCM-SHA256', 'ECDHE-ECDSA-AES256-SHA384'])
    t.equal(await accepts({ ...v12, ciphers }), 'refused', ciphers)
  t.equal(
    await accepts({ minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT:@SECLEVEL=0' }),
    'refused',
    'TLS 1.1',
  )
})

t.test('TLS 1.2 is refused with minVersion 1.3', async t => {
  const { certFile, keyFile, cert, key } = await authority.server()
  const { edge } = await startWithTls(t, {
    tls: { certFile, keyFile, minVersion: '1.3' },
    grpcPort: 0,
    grpcTls: { cert, key, minVersion: '1.3' },
  })
  for (const port of [edge.port, edge.grpcPort!]) {
    await t.rejects(shake(port, { maxVersion: 'TLSv1.2' }))
    // Every suite of TLS 1.2 that this machine's OpenSSL knows.
    await t.rejects(shake(port, { maxVersion: 'TLSv1.2', ciphers: 'ALL:@SECLEVEL=0' }))
    const socket = await shake(port)
    t.equal(socket.getProtocol(), 'TLSv1.3')
    socket.destroy()
  }
})

/** A gRPC client with a certificate, or without. */
const channel = (certificate?: TestCertificate) =>
  certificate === undefined
    ? credentials.createSsl(Buffer.from(authority.ca))
    : credentials.createSsl(
        Buffer.from(authority.ca),
        Buffer.from(certificate.key),
        Buffer.from(certificate.cert),
      )

t.test('gRPC over TLS; a client without TLS is not served', async t => {
  const { cert, key } = await authority.server()
  const confab = await startWithTls(t, { grpcPort: 0, grpcTls: { cert, key, minVersion: '1.2' } })
  const port = confab.edge.grpcPort!
  const token = await confab.token('alice')
  const alice = new GrpcClient(port, { token, tls: channel() })
  t.teardown(() => alice.close())
  await alice.ok('hello')
  const plain = new GrpcClient(port, { token })
  t.teardown(() => plain.close())
  t.equal((await plain.ended).code, status.UNAVAILABLE)
})

const foreign = await testAuthority(t, 'another CA')

/** Clients of a listener with an authority of clients, and whether it serves them. */
const clients: readonly (readonly [
  name: string,
  certificate: TestCertificate | undefined,
  isServed: boolean,
])[] = [
  ['a client with a certificate', await authority.client('service'), true],
  ['a client without a certificate', undefined, false],
  ['an expired certificate', await authority.client('old', expired()), false],
  ['a certificate of the future', await authority.client('early', early()), false],
  ['the certificate of a server', await authority.server(), false],
  ['a certificate of another authority', await foreign.client('service'), false],
]

t.test('with clientCa, only clients with a certificate of the authority are served', async t => {
  const { certFile, keyFile, cert, key } = await authority.server()
  const confab = await startWithTls(t, {
    tls: { certFile, keyFile, clientCaFile: authority.caFile, minVersion: '1.2' },
    grpcPort: 0,
    grpcTls: { cert, key, clientCa: authority.ca, minVersion: '1.2' },
  })
  const token = await confab.token('alice')
  const ask = async (certificate: TestCertificate | undefined, head: string): Promise<string> => {
    const socket = connectTls({
      host: 'localhost',
      port: confab.edge.port,
      ca: authority.ca,
      ...(certificate === undefined ? {} : { cert: certificate.cert, key: certificate.key }),
    })
    socket.write(head)
    try {
      const [data] = (await once(socket, 'data')) as [Buffer]
      return data.toString('latin1').split('\r\n')[0] ?? ''
    } catch {
      return 'no connection'
    } finally {
      socket.destroy()
    }
  }
  const heads = {
    page: 'GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n',
    unknown: 'GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n',
    socket:
      'GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n',
    stream: `GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\n\r\n`,
  }
  const served: Readonly<Record<string, RegExp>> = {
    page: / 200 /,
    unknown: / 404 /,
    socket: / 101 /,
    stream: / 200 /,
  }
  for (const [name, certificate, isServed] of clients) {
    for (const [route, head] of Object.entries(heads))
      t.match(
        await ask(certificate, head),
        isServed ? served[route] : / 403 |no connection/,
        `${name}: ${route}`,
      )
    const call = new GrpcClient(confab.edge.grpcPort!, { token, tls: channel(certificate) })
    t.teardown(() => call.close())
    if (isServed) await call.ok('hello')
    else t.equal((await call.ended).code, status.UNAVAILABLE, `${name}: gRPC`)
  }
})

/** Sends bytes without TLS, and resolves with the number of bytes of the answer when the server has closed. */
const sendPlain = async (port: number, bytes: Buffer | string): Promise<number> => {
  const socket = connectTcp({ port, host: '127.0.0.1' })
  let received = 0
  socket.on('data', data => {
    received += data.length
  })
  socket.on('error', () => {})
  socket.write(bytes)
  await new Promise(resolve => socket.on('close', resolve))
  return received
}

t.test('what is no handshake ends its connection, and others are served', async t => {
  const { cert, key } = await authority.server()
  const confab = await startWithTls(t, { grpcPort: 0, grpcTls: { cert, key, minVersion: '1.2' } })
  const alice = await RawClient.open(`${confab.url.replace('https', 'wss')}/v1/ws`)
  t.teardown(() => alice.close())
  await alice.ok('hello', { token: await confab.token('alice') })
  const hello = Buffer.from('16030100050100000100', 'hex')
  for (const port of [confab.edge.port, confab.edge.grpcPort!])
    for (const bytes of [
      'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n',
      'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
      randomBytes(100),
      Buffer.alloc(70_000, 0x16),
      // A truncated ClientHello, and a record of an alert.
      Buffer.concat([hello, randomBytes(40)]),
      Buffer.from('15030100020228', 'hex'),
    ]) {
      const received = await sendPlain(port, bytes)
      t.ok(received < 100, `${received} bytes: an alert at most`)
    }
  await alice.ok('ping')
  t.equal((await fetch(`${confab.url}/healthz`)).status, 200)
})

t.test('connections count for their address before the handshake', async t => {
  const { cert, key } = await authority.server()
  const edge = { grpcPort: 0, grpcTls: { cert, key, minVersion: '1.2' } } as const
  const confab = await startWithTls(t, edge, { addressConnects: 1 })
  // A burst of 20 s: this many at once are refused, on either port, although none of them says anything.
  const silent = Array.from({ length: 40 }, (_, n) => {
    const socket = connectTcp({
      port: n % 2 === 0 ? confab.edge.port : confab.edge.grpcPort!,
      host: '127.0.0.1',
    })
    socket.on('error', () => {})
    t.teardown(() => socket.destroy())
    return socket
  })
  let closed = 0
  for (const socket of silent) socket.on('close', () => closed++)
  const refused = async () =>
    Number(
      /confab_edge_limited_total\{limit="address_connects"\} (\d+)/.exec(await confab.metrics())?.[1] ?? 0,
    )
  while ((await refused()) < 10 || closed < 10) await sleep(20)
  await t.rejects(shake(confab.edge.port))
  await t.rejects(shake(confab.edge.grpcPort!))
})

t.test('Strict-Transport-Security is sent over https only', async t => {
  const get = async (url: string, headers: Record<string, string> = {}) =>
    (await fetch(`${url}/healthz`, { headers })).headers.get('strict-transport-security')
  const proxied = { 'x-forwarded-proto': 'https' }
  t.equal(await get((await startWithTls(t)).url), 'max-age=60')
  t.equal(await get((await startWithTls(t, { hstsMs: 0 })).url), null, 'off')
  const direct = await startConfab(t, { edge: { hstsMs: 60_000 } })
  t.equal(await get(direct.url), null, 'http')
  t.equal(await get(direct.url, proxied), null, 'any client may write the header')
  const behind = await startConfab(t, { limits: { trustProxy: 1 }, edge: { hstsMs: 60_000 } })
  t.equal(await get(behind.url), null, 'http behind a proxy')
  t.equal(await get(behind.url, proxied), 'max-age=60', 'https behind a proxy')
})
