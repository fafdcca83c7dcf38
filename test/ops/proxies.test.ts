import { type ChildProcess, spawn } from 'node:child_process'
import { accessSync, constants, readFileSync, writeFileSync } from 'node:fs'
import { connect as connectTcp } from 'node:net'
import { delimiter, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { startConfab, type TestConfab } from '../harness/confab.ts'
import { EventSourceClient } from '../harness/event-source.ts'
import { freePort } from '../harness/free-ports.ts'
import { RawClient } from '../harness/raw-client.ts'
import { tempFolder } from '../harness/temp-folder.ts'
import { png, upload } from '../harness/upload.ts'

interface Proxy {
  readonly name: string
  /** File in ops/proxies. */
  readonly file: string
  /** The text in the file that names the port, and its replacement in a test. */
  readonly listens: readonly [text: string, (port: number) => string]
  readonly args: (config: string, folder: string) => readonly string[]
  /** Whether it passes the version of the client's request on. */
  readonly passesVersion: boolean
}

const proxies: readonly Proxy[] = [
  {
    name: 'nginx',
    file: 'nginx.conf',
    passesVersion: false,
    listens: ['listen 80;', port => `listen 127.0.0.1:${port};`],
    args: (config, folder) => [
      '-p',
      folder,
      '-e',
      'stderr',
      '-c',
      config,
      '-g',
      `daemon off; pid ${folder}/pid;`,
    ],
  },
  {
    name: 'haproxy',
    file: 'haproxy.cfg',
    passesVersion: true,
    listens: ['bind :80\n', port => `bind 127.0.0.1:${port}\n`],
    args: config => ['-db', '-f', config],
  },
  {
    name: 'caddy',
    file: 'Caddyfile',
    passesVersion: false,
    listens: [':80 {', port => `http://127.0.0.1:${port} {`],
    args: config => ['run', '--adapter', 'caddyfile', '--config', config],
  },
]

const find = (name: string): string | undefined =>
  [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']
    .map(folder => join(folder, name))
    .find(path => {
      try {
        accessSync(path, constants.X_OK)
        return true
      } catch {
        return false
      }
    })

const isRequired = (name: string): boolean =>
  (process.env.CONFAB_TEST_REQUIRE ?? '').split(/[\s,]+/).includes(name)

const stop = async (child: ChildProcess): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = new Promise(done => child.once('exit', done))
  child.kill('SIGTERM')
  const kill = setTimeout(() => child.kill('SIGKILL'), 5_000)
  await exit
  clearTimeout(kill)
}

/** Starts a proxy with its file of ops/proxies, in front of an edge node. Resolves with its address. */
const startProxy = async (t: Test, { name, file, listens, args }: Proxy, path: string, edge: number) => {
  const folder = tempFolder(t)
  const port = await freePort()
  const text = readFileSync(resolve(import.meta.dirname, '../../ops/proxies', file), 'utf8')
  const [from, to] = listens
  for (const part of [from, '127.0.0.1:8080']) t.ok(text.includes(part), `${file} has ${part}`)
  const config = join(folder, file)
  writeFileSync(config, text.replace(from, to(port)).replace('127.0.0.1:8080', `127.0.0.1:${edge}`))
  const child = spawn(path, args(config, folder), {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, HOME: folder, XDG_CONFIG_HOME: folder, XDG_DATA_HOME: folder },
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', chunk => {
      output += chunk
    })
  t.teardown(() => stop(child))
  const url = `http://127.0.0.1:${port}`
  while ((await fetch(`${url}/readyz`).catch(() => undefined))?.status !== 200) {
    if (child.exitCode !== null) throw new Error(`${name} ended:\n${output}`)
    await sleep(20)
  }
  return { url, port }
}

/** Sends bytes on one connection, and resolves with the first line of the answer. */
const firstLine = (port: number, bytes: string): Promise<string> =>
  new Promise((done, reject) => {
    let received = ''
    const socket = connectTcp({ port, host: '127.0.0.1' }, () => socket.write(bytes))
    socket.on('data', data => {
      received += data.toString('latin1')
      if (!received.includes('\r\n')) return
      socket.destroy()
      done(received.slice(0, received.indexOf('\r\n')))
    })
    socket.on('error', reject)
    socket.on('close', () => done(received))
  })

const begin = async (t: Test): Promise<TestConfab> =>
  await startConfab(t, { limits: { trustProxy: 1, addressSockets: 4, heartbeatMs: 1_000 } })

t.test('without a proxy: HTTP/1.0 is refused, as the operations page says', async t => {
  const confab = await begin(t)
  const line = await firstLine(confab.edge.port, 'GET /healthz HTTP/1.0\r\nHost: x\r\n\r\n')
  t.match(line, /^HTTP\/1\.1 505 /)
})

for (const proxy of proxies) {
  const path = find(proxy.name)
  const skip = path === undefined && !isRequired(proxy.name) ? `${proxy.name} is not installed` : false
  t.test(`${proxy.name} with the configuration in ops/proxies`, { skip }, async t => {
    if (path === undefined) throw new Error(`${proxy.name} is required and not installed`)
    const confab = await begin(t)
    const { url, port } = await startProxy(t, proxy, path, confab.edge.port)
    const authorization = `Bearer ${await confab.token('alice')}`
    const ask = async (request: object) => {
      const response = await fetch(`${url}/v1/commands`, {
        method: 'POST',
        headers: { authorization },
        body: JSON.stringify({ id: '1', ...request }),
      })
      return (await response.json()) as Record<string, unknown>
    }
    t.match(await ask({ t: 'create', c: 'tea', kind: 'group', members: ['bob'] }), { ok: true, seq: 1 })

    // A WebSocket stays open while nothing is sent, and receives events.
    const socket = await RawClient.open(`${url.replace('http', 'ws')}/v1/ws`)
    t.teardown(() => socket.close())
    await socket.ok('hello', { token: await confab.token('bob') })
    // An event stream receives each event when it is sent.
    const stream = new EventSourceClient(url, await confab.token('bob'))
    t.teardown(() => stream.stop())
    await stream.until(() => stream.lastEventId !== '')
    for (let seq = 2; seq < 5; seq++) {
      t.match(await ask({ t: 'send', c: 'tea', m: `m${seq}`, text: 'hello' }), { ok: true, seq })
      await socket.event('tea', seq)
      await stream.until(() => stream.events('tea').at(-1)?.seq === seq)
      await sleep(1_100)
    }
    t.equal(stream.connections, 1)

    // A body larger than the usual bounds of proxies reaches confab, which refuses it itself.
    t.match(await ask({ t: 'send', c: 'tea', m: 'big', text: 'x'.repeat(17_000) }), {
      error: { code: 'TOO_LARGE', field: '/text' },
    })
    const bytes = Buffer.concat([png(), Buffer.alloc(3_000_000)])
    const attachment = await upload({ url, token: user => confab.token(user) }, 'alice', bytes)
    t.match(await ask({ t: 'send', c: 'tea', m: 'file', text: '', attachments: [attachment] }), { ok: true })

    t.match(
      await firstLine(port, 'GET /healthz HTTP/1.0\r\nHost: x\r\n\r\n'),
      proxy.passesVersion ? / 505 / : / 200 /,
      'clients of HTTP/1.0',
    )
    t.equal((await fetch(`${url}/metrics`)).status, 404)
    t.equal((await fetch(`${url}/v1/inbox`)).status, 401)

    // The address that counts is the one of the client, not one that the client writes into the header.
    const opened: RawClient[] = [socket]
    const open = (n: number) =>
      RawClient.open(`${url.replace('http', 'ws')}/v1/ws`, {
        headers: { 'x-forwarded-for': `198.51.100.${n}` },
      })
    for (let n = 0; n < 2; n++) opened.push(await open(n))
    await t.rejects(open(9), 'the fifth connection of one address')
    for (const client of opened) client.close()
  })
}
