import { connect } from 'node:net'
import t, { type Test } from 'tap'
import { socketOriginPolicy } from '../../src/edge/transports/http/cors.ts'
import { compileConfig } from '../../src/infra/config/index.ts'
import { startConfab } from '../harness/confab.ts'

t.test('the policy', async t => {
  const isAllowed = socketOriginPolicy(['self', 'https://chat.example'])
  for (const [origin, host, expected] of [
    ['', 'chat.local', true],
    ['https://chat.example', 'chat.local', true],
    ['http://chat.local', 'chat.local', true],
    ['https://chat.local:8080', 'chat.local:8080', true],
    ['https://chat.local', 'chat.local:8080', false],
    ['https://chat.example.evil', 'chat.local', false],
    ['https://evil.chat.example', 'chat.local', false],
    ['http://chat.example', 'chat.local', false],
    ['null', 'chat.local', false],
    ['self', 'chat.local', false],
    ['http://', '', false],
  ] as const)
    t.equal(isAllowed(origin, host), expected, `${origin} at ${host}`)
  t.ok(socketOriginPolicy(['*'])('https://evil.example', 'chat.local'))
})

const upgrade = (port: number, headers: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const head = `GET /v1/ws HTTP/1.1\r\nHost: chat.local\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${headers}\r\n`
    const socket = connect(port, '127.0.0.1', () => socket.write(head))
    socket.once('data', data => {
      resolve(/^HTTP\/1\.1 (\d+)/.exec(String(data))?.[1] ?? '')
      socket.destroy()
    })
    socket.on('error', reject)
  })

const statuses = async (t: Test, socketOrigins?: readonly string[]) => {
  const { edge } = await startConfab(t, { edge: socketOrigins === undefined ? {} : { socketOrigins } })
  return {
    none: await upgrade(edge.port, ''),
    own: await upgrade(edge.port, 'Origin: https://chat.local\r\n'),
    listed: await upgrade(edge.port, 'Origin: https://chat.example\r\n'),
    other: await upgrade(edge.port, 'Origin: https://evil.example\r\n'),
  }
}

t.test('pages of other origins may open no WebSocket; clients that are not browsers may', async t => {
  t.same(await statuses(t), { none: '101', own: '101', listed: '101', other: '101' }, 'all by default')
  t.same(await statuses(t, ['self']), { none: '101', own: '101', listed: '403', other: '403' })
  t.same(await statuses(t, ['https://chat.example']), {
    none: '101',
    own: '403',
    listed: '101',
    other: '403',
  })
})

t.test('the option takes self, origins and *', async t => {
  const origins = (value: string) =>
    compileConfig({ env: { CONFAB_EDGE_SOCKET_ORIGINS: value } }).socketOrigins
  t.equal(compileConfig({}).socketOrigins, undefined)
  t.same(origins('self,https://chat.example'), ['self', 'https://chat.example'])
  t.same(origins('*'), ['*'])
  for (const bad of ['chat.example', 'https://chat.example/', 'Self'])
    t.throws(() => origins(bad), /edge/i, bad)
})
