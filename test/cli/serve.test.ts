import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { type ConfabProcess, spawnConfab, untilReady } from '../harness/confab-process.ts'
import { freePort } from '../harness/free-ports.ts'
import { startNats } from '../harness/nats.ts'
import { runConfab } from '../harness/replay.ts'
import { tempFolder } from '../harness/temp-folder.ts'

const root = resolve(import.meta.dirname, '../..')

const get = async <T>(confab: ConfabProcess, user: string, path: string): Promise<T> => {
  const answer = await fetch(`${confab.url}${path}`, {
    headers: { authorization: `Bearer ${await confab.token(user)}` },
  })
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
  return (await answer.json()) as T
}

/** Whether a process runs; a zombie does not. */
const runs = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

t.test('serve --dev seeds a demonstration once, and SIGTERM stops all processes', async t => {
  const data = join(tempFolder(t), 'data')
  const confab = await untilReady(await spawnConfab({ data }))
  t.teardown(() => confab.stop())
  while (!confab.output().includes(`${confab.url}/?user=alice`)) await sleep(10)
  t.pass('prints a sign-in link')
  const page = await fetch(`${confab.url}/?user=alice`)
  t.equal(page.status, 200)
  t.match(await page.text(), /<script type="module"/)
  for (const user of ['alice', 'bob', 'carol']) {
    const { items } = await get<{ items: { c: string }[] }>(confab, user, '/v1/inbox')
    t.same(items.map(({ c }) => c).sort(), ['lounge', 'weekend-hike'], user)
  }
  const { events } = await get<{ events: { type: string; replyTo?: string }[] }>(
    confab,
    'alice',
    '/v1/conversations/weekend-hike/events',
  )
  t.ok(events.some(({ type }) => type === 'reaction.added'))
  t.ok(events.some(({ replyTo }) => replyTo !== undefined))

  const nats = JSON.parse(readFileSync(join(data, 'nats.json'), 'utf8')) as { pid: number }
  t.ok(runs(nats.pid))
  t.equal(await confab.stop(), 0, 'SIGTERM drains and exits 0')
  t.notOk(runs(nats.pid), 'the embedded nats-server has exited')
  t.notOk(existsSync(join(data, 'serve.json')))

  const env = { CONFAB_EDGE_CORS_ORIGINS: 'https://chat.example' }
  const again = await untilReady(await spawnConfab({ data, env }))
  t.teardown(() => again.stop())
  const allowed = async (origin: string): Promise<string | null> =>
    (await fetch(`${again.url}/v1/inbox`, { headers: { origin } })).headers.get('access-control-allow-origin')
  t.equal(await allowed('https://chat.example'), 'https://chat.example', 'edge.corsOrigins reaches the edge')
  t.equal(await allowed('https://other.example'), null)
  const once = await get<{ events: unknown[] }>(again, 'alice', '/v1/conversations/weekend-hike/events')
  t.equal(once.events.length, events.length, 'the demonstration is seeded once')
  t.equal(await again.stop(), 0)
})

t.test('a second server on a data folder is refused, a server after kill -9 is not', async t => {
  const data = join(tempFolder(t), 'data')
  const confab = await untilReady(await spawnConfab({ data }))
  t.teardown(() => confab.stop())
  const second = await runConfab(['serve', '--dev', '--port', '0', '--data', data])
  t.equal(second.code, 2)
  t.match(second.stderr, /error BAD_OPTION: confab runs on .* already, at http/)
  const { pid } = JSON.parse(readFileSync(join(data, 'nats.json'), 'utf8')) as { pid: number }
  await confab.kill9()
  while (runs(pid)) await sleep(10)
  t.pass('the embedded nats-server ends with its parent')
  const next = await untilReady(await spawnConfab({ data }))
  t.equal(await next.stop(), 0)
})

t.test('errors at start are reported at once, without a stack trace', async t => {
  const folder = tempFolder(t)
  const data = join(folder, 'data')
  const noSecret = await runConfab(['serve', '--port', '0', '--data', data])
  t.equal(noSecret.code, 2)
  t.match(noSecret.stderr, /error BAD_OPTION: .*CONFAB_JWT_SECRET or CONFAB_JWKS, or --dev/)
  const roles = await runConfab(['serve', '--dev', '--roles', 'edge,kitchen', '--data', data])
  t.equal(roles.code, 2)
  t.match(roles.stderr, /--roles: must be one of edge, commands, projections/)
  const file = join(folder, 'confab.yaml')
  writeFileSync(file, 'prot: 8080\n')
  const config = await runConfab(['serve', '--dev', '--config', file, '--data', data])
  t.equal(config.code, 2)
  t.match(config.stderr, `${file}:1: prot: unknown key`)
  const unreachable = await runConfab([
    'serve',
    '--dev',
    '--port',
    '0',
    '--data',
    data,
    '--nats',
    'nats://127.0.0.1:1',
  ])
  t.equal(unreachable.code, 1)
  t.match(
    unreachable.stderr,
    /error NATS_SERVER_FAILED: NATS cannot be reached at nats:\/\/127\.0\.0\.1:1: [a-z ]+: start nats-server there/,
  )
  const unknown = await runConfab(['serve', '--prot', '1'])
  t.equal(unknown.code, 2)
  t.match(unknown.stderr, /error BAD_OPTION: unknown option '--prot'/)
  const taken = await untilReady(await spawnConfab({ data }))
  t.teardown(() => taken.stop())
  const port = new URL(taken.url).port
  const second = await runConfab(['serve', '--dev', '--port', port, '--data', join(folder, 'other')])
  t.equal(second.code, 1)
  t.match(second.stderr, /error CANNOT_LISTEN: cannot listen on 127\S+: another process listens there/)
  t.notOk(existsSync(join(folder, 'other')), 'the port is checked before a log is created')
  const args = ['--dev', '--roles', 'projections', '--port', port, '--data', join(folder, 'third')]
  const third = await runConfab(['serve', ...args])
  t.match(
    third.stderr,
    /error CANNOT_LISTEN: cannot listen on 127/,
    'the same for a process without the role edge',
  )
  for (const { stderr } of [noSecret, roles, config, unreachable, second]) t.notMatch(stderr, /\n {4}at /)
  t.equal(await taken.stop(), 0)
})

t.test('two processes share the roles: one serves, one builds the views', async t => {
  const data = join(tempFolder(t), 'data')
  const nats = await startNats(t)
  const secret = 'a secret of at least thirty-two bytes'
  const edge = await spawnConfab({ data, nats: nats.url, secret, args: ['--roles', 'edge,commands'] })
  t.teardown(() => edge.stop())
  const views = await untilReady(
    await spawnConfab({ data, nats: nats.url, args: ['--roles', 'projections'] }),
  )
  t.teardown(() => views.stop())
  await untilReady(edge)
  t.equal((await fetch(`${views.url}/healthz`)).status, 200)
  t.match(await (await fetch(`${views.adminUrl}/metrics`)).text(), /process_cpu/)
  t.equal((await fetch(`${views.url}/v1/inbox`)).status, 404)
  const { code, stderr } = await runConfab([
    'send',
    'tea',
    'hello',
    '--join',
    '--user',
    'ann',
    '--url',
    edge.url,
    '--token',
    await edge.token('ann'),
  ])
  t.equal(code, 0, stderr)
  const hits = async () => (await get<{ hits: unknown[] }>(edge, 'ann', '/v1/search?q=hello')).hits.length
  while ((await hits()) === 0) await sleep(20)
  t.pass('the other process built the view')
  t.equal(await views.stop(), 0)
  t.equal(await edge.stop(), 0)
})

t.test('npm start: a SIGTERM to npm stops confab in an orderly way', async t => {
  const data = join(tempFolder(t), 'data')
  const port = await freePort()
  const child: ChildProcess = spawn('npm', ['start', '--', '--port', String(port), '--data', data], {
    cwd: root,
    stdio: 'ignore',
  })
  const exit = once(child, 'exit')
  const url = `http://127.0.0.1:${port}`
  while ((await fetch(`${url}/readyz`).catch(() => undefined))?.status !== 200) await sleep(50)
  const { pid } = JSON.parse(readFileSync(join(data, 'serve.json'), 'utf8')) as { pid: number }
  child.kill('SIGTERM')
  t.same(await exit, [0, null])
  while (runs(pid)) await sleep(20)
  t.notOk(existsSync(join(data, 'serve.json')), 'the process stopped in an orderly way')
})
