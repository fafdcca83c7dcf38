import { type IncomingMessage, request } from 'node:http'
import t from 'tap'
import { hostCheck } from '../../src/base/host-names.ts'
import { signDevToken } from '../../src/infra/tokens/index.ts'
import { startConfab, testSecret } from '../harness/confab.ts'

interface Answer {
  readonly status: number
  readonly body: string
  readonly headers: IncomingMessage['headers']
}

/** Sends a request with any header `Host`, which `fetch` does not allow. */
const send = (url: string, path: string, headers: Record<string, string>, method = 'GET'): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url)
    const sent = request({ hostname, port, path, headers, method, agent: false }, answer => {
      // The transport ends the refusal of an upgrade in a way that Node does not parse; its head is complete.
      sent.on('error', () => resolve({ status: answer.statusCode ?? 0, body: '', headers: answer.headers }))
      let body = ''
      answer.setEncoding('utf8')
      answer.on('data', chunk => {
        body += chunk
      })
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body, headers: answer.headers }))
    })
    sent.on('upgrade', ({ statusCode = 0, headers }, socket) => {
      socket.destroy()
      resolve({ status: statusCode, body: '', headers })
    })
    sent.once('error', error => {
      if (sent.listenerCount('error') === 0) reject(error)
    })
    sent.end(method === 'POST' ? '{}' : undefined)
  })

const upgrade = {
  upgrade: 'websocket',
  connection: 'upgrade',
  'sec-websocket-version': '13',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
}

const requests: readonly (readonly [method: string, path: string, headers?: Record<string, string>])[] = [
  ['GET', '/'],
  ['GET', '/v1/dev/token?user=alice'],
  ['GET', '/v1/inbox'],
  ['POST', '/v1/commands'],
  ['GET', '/v1/stream'],
  ['GET', '/v1/conversations/tea/media/m1'],
  ['GET', '/healthz'],
  ['GET', '/readyz'],
  ['GET', '/nowhere'],
  ['OPTIONS', '/v1/inbox'],
  ['GET', '/v1/ws', upgrade],
]

const dev = { signDevToken: (user: string) => signDevToken(testSecret, user) }

t.test('a development server answers its own names only, on every route', async t => {
  const confab = await startConfab(t, { edge: { ...dev, acceptsHost: hostCheck(['chat.example']) } })
  const { port } = confab.edge
  for (const [method, path, headers = {}] of requests) {
    for (const host of ['evil.example', `evil.example:${port}`, '127.0.0.1.evil.example'])
      t.match(
        await send(confab.url, path, { ...headers, host }, method),
        path === '/v1/ws' ? { status: 403 } : { status: 403, body: /"FORBIDDEN".*Host: / },
        `${method} ${path} to ${host}`,
      )
    for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, 'chat.example', '[::1]'])
      t.not((await send(confab.url, path, { ...headers, host }, method)).status, 403, `${path} to ${host}`)
  }
  const client = await confab.connect('alice')
  await client.ok('ping')
})

t.test('other servers answer every name: tokens protect them', async t => {
  const confab = await startConfab(t)
  t.equal((await send(confab.url, '/healthz', { host: 'chat.example' })).status, 200)
  t.equal((await send(confab.url, '/v1/dev/token?user=alice', { host: 'chat.example' })).status, 404)
})

t.test('no page reads a development token because all origins may call the other routes', async t => {
  const confab = await startConfab(t, { edge: { ...dev, corsOrigins: ['*', 'https://app.example'] } })
  const allowed = async (path: string, origin: string) =>
    (await send(confab.url, path, { origin })).headers['access-control-allow-origin']
  t.equal(await allowed('/healthz', 'https://evil.example'), '*')
  t.equal(await allowed('/v1/dev/token?user=alice', 'https://evil.example'), undefined)
  t.equal(await allowed('/v1/dev/token?user=alice', 'https://app.example'), 'https://app.example')
})
