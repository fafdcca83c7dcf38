import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { ProcessRole } from '../../src/infra/nats/rights/rights.ts'
import { type ConfabProcess, readinessOf, spawnConfab, untilReady } from '../harness/confab-process.ts'
import { ackedAreStored, clientsSawTheLog, onlyMembersSaw, seqsAreGapless } from '../harness/invariants.ts'
import { startLoad } from '../harness/load.ts'
import { startNats } from '../harness/nats.ts'
import { environmentOf } from '../harness/nats-users.ts'
import { Outsider } from '../harness/outsider.ts'
import { replayLog, runConfab } from '../harness/replay.ts'
import { tempFolder } from '../harness/temp-folder.ts'

const secret = 'a secret of at least thirty-two bytes'

const get = async <T>(confab: ConfabProcess, token: string, path: string): Promise<T> => {
  const answer = await fetch(`${confab.url}${path}`, { headers: { authorization: `Bearer ${token}` } })
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
  return (await answer.json()) as T
}

const until = async (holds: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await holds())) await sleep(20)
}

/** Every combination of roles, each with the folder whose views it builds or reads. */
const combinations: readonly [folder: string, roles: string][] = [
  ['a', 'edge'],
  ['a', 'projections'],
  ['b', 'edge,commands'],
  ['b', 'commands,projections'],
  ['c', 'edge,projections'],
  ['d', 'edge,commands,projections'],
  ['e', 'commands'],
]

t.test('all seven combinations of roles form one system', { timeout: 120_000 }, async t => {
  const nats = await startNats(t, { hasUsers: true, streams: false })
  const folder = tempFolder(t)
  const applied = await runConfab(['streams', 'apply', '--nats', nats.url])
  t.equal(applied.code, 0, applied.stderr)
  const all = await Promise.all(
    combinations.map(async ([name, roles]) => {
      const args = ['--roles', roles]
      const env = environmentOf(nats.port, roles.includes(',') ? 'server' : (roles as ProcessRole))
      return { roles, confab: await spawnConfab({ data: join(folder, name), secret, args, env }) }
    }),
  )
  t.teardown(() => Promise.all(all.map(({ confab }) => confab.stop())))
  for (const { roles, confab } of all) {
    await untilReady(confab)
    await until(() => confab.output().includes('"msg":"confab is up"'))
    const up = confab
      .output()
      .split('\n')
      .find(line => line.includes('"confab is up"'))
    t.match(JSON.parse(up ?? '{}'), { url: confab.url, roles: roles.split(',') })
    const { parts } = await readinessOf(confab)
    const has = (role: string) => roles.split(',').includes(role)
    t.equal('projections' in parts, has('projections'), `${roles}: projections`)
    t.equal('log' in parts, has('commands'), `${roles}: log`)
    t.equal('commands' in parts, has('edge') && !has('commands'), `${roles}: commands in other processes`)
    t.equal(
      confab.output().includes('stays empty unless'),
      has('edge') && !has('projections'),
      `${roles}: a warning that other processes have to feed its views`,
    )
    t.equal((await fetch(`${confab.url}/healthz`)).status, 200)
    const posted = await fetch(`${confab.url}/healthz`, { method: 'POST' })
    t.same([posted.status, posted.headers.get('allow')], [405, 'GET, HEAD'])
    t.match(await posted.json(), { ok: false, error: { code: 'METHOD_NOT_ALLOWED' } })
    t.match(await (await fetch(`${confab.url}/nothing`)).json(), { error: { code: 'NOT_FOUND' } })
    t.match(await (await fetch(`${confab.adminUrl}/metrics`)).text(), /process_cpu/)
    t.equal((await fetch(`${confab.url}/v1/inbox`)).status, has('edge') ? 401 : 404, `${roles}: clients`)
  }

  const edges = all.filter(({ roles }) => roles.includes('edge')).map(({ confab }) => confab)
  const clients = await Promise.all(
    edges.map(async (edge, i) => new Outsider(`user-${i}`, [edge.url], await edge.token(`user-${i}`))),
  )
  for (const client of clients) client.expect('tea')
  const members = clients.slice(1).map(({ user }) => user)
  await clients[0]!.command('create', { c: 'tea', kind: 'group', members, key: 'k' })
  const acked = (
    await Promise.all(
      clients.map(async ({ user }, i) => {
        const own = []
        for (let n = 0; n < 10; n++) {
          const message = { c: 'tea', m: `${user}-${n}`, text: `ginger ${n}` }
          const { seq } = await clients[i]!.command('send', message)
          own.push({ ...message, from: user, seq: Number(seq) })
        }
        return own
      }),
    )
  ).flat()
  for (const client of clients) await until(() => client.head('tea') === 1 + acked.length)

  const log = await replayLog(['--nats', nats.url])
  ackedAreStored(t, log, acked)
  seqsAreGapless(t, log)
  clientsSawTheLog(t, log, clients)
  for (const [i, edge] of edges.entries()) {
    const token = await edge.token(`user-${i}`)
    await until(
      async () =>
        (await get<{ hits: unknown[] }>(edge, token, '/v1/search?q=ginger&limit=100')).hits.length ===
        acked.length,
    )
    const { events } = await get<{ events: unknown[] }>(
      edge,
      token,
      '/v1/conversations/tea/events?after=0&limit=200',
    )
    t.equal(events.length, 1 + acked.length, 'history')
    const { items } = await get<{ items: { c: string; head: number }[] }>(edge, token, '/v1/inbox')
    t.match(items, [{ c: 'tea', head: 1 + acked.length }], 'inbox')
  }
  await Promise.all(clients.map(client => client.stop()))
  const codes = await Promise.all(all.map(({ confab }) => confab.stop()))
  t.same(codes, Array(7).fill(0), 'SIGTERM ends each in order')
  t.same(nats.violations(), [], 'each process has the NATS user of its roles, with the rights that it needs')
})

t.test('commands nodes join, leave and are killed under load', { timeout: 180_000 }, async t => {
  const nats = await startNats(t, { hasUsers: true, streams: false })
  const applied = await runConfab(['streams', 'apply', '--nats', nats.url])
  t.equal(applied.code, 0, applied.stderr)
  const folder = tempFolder(t)
  const running: ConfabProcess[] = []
  const start = async (role: ProcessRole, name: string): Promise<ConfabProcess> => {
    const data = join(folder, name)
    const env = environmentOf(nats.port, role)
    const confab = await spawnConfab({ data, secret, env, args: ['--roles', role] })
    running.push(confab)
    return confab
  }
  t.teardown(() => Promise.all(running.map(confab => confab.stop())))
  const edge = await start('edge', 'views')
  const projections = await start('projections', 'views')
  const first = await start('commands', 'first')
  const second = await start('commands', 'second')
  for (const confab of running) await untilReady(confab)

  const users = ['alice', 'bob', 'carol', 'dave']
  const conversations = Array.from({ length: 12 }, (_, i) => `c${i}`)
  const load = await startLoad(edge, { users, conversations, pauseMs: 2 })
  const more = async (count: number): Promise<void> => {
    const wanted = load.acked.length + count
    await until(() => load.acked.length >= wanted)
  }
  const share = async (confab: ConfabProcess): Promise<number> => {
    const text = await (await fetch(`${confab.adminUrl}/metrics`)).text()
    return Number(/confab_command_seconds_count\{type="send",outcome="ok"\} (\d+)/.exec(text)?.[1] ?? 0)
  }
  await more(200)
  t.ok((await share(first)) > 0 && (await share(second)) > 0, 'both have their share')

  await first.kill9()
  await more(200)
  const third = await start('commands', 'third')
  await untilReady(third)
  await until(async () => (await share(third)) > 0)
  t.pass('one that comes gets its share')

  // A suspended process loses its share to the others, and does no harm when it continues.
  process.kill(third.pid, 'SIGSTOP')
  await more(200)
  for (const c of conversations) {
    const wanted = load.acked.filter(one => one.c === c).length + 5
    await until(() => load.acked.filter(one => one.c === c).length >= wanted)
  }
  process.kill(third.pid, 'SIGCONT')
  await more(200)

  t.equal(await second.stop(), 0, 'SIGTERM ends one in order')
  await more(200)
  // A process that is killed while it is the only one leaves commands that wait for the next one.
  await third.kill9()
  const fourth = await start('commands', 'fourth')
  await untilReady(fourth)
  await more(200)
  // A load that meets a non-retryable error rejects here.
  await load.end()

  const log = await replayLog(['--nats', nats.url])
  for (const client of load.clients)
    for (const c of conversations) await until(() => client.head(c) >= log.get(c)!.length)
  ackedAreStored(t, log, load.acked)
  seqsAreGapless(t, log)
  clientsSawTheLog(t, log, load.clients)
  onlyMembersSaw(t, log, load.clients)
  await Promise.all(load.clients.map(client => client.stop()))

  t.equal(await fourth.stop(), 0)
  await until(async () => !(await readinessOf(edge)).ok)
  t.match(await readinessOf(edge), { parts: { commands: false, nats: true, feed: true } })
  const token = await edge.token('alice')
  t.equal(
    (await get<{ items: unknown[] }>(edge, token, '/v1/inbox')).items.length,
    conversations.length,
    'reads are answered',
  )
  const refused = await fetch(`${edge.url}/v1/commands`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
    body: JSON.stringify({ id: '1', t: 'send', c: 'c0', m: 'nobody', text: 'hello?' }),
  })
  t.equal(refused.status, 503)
  t.match(await refused.json(), { error: { code: 'UNAVAILABLE', retryable: true } })
  t.equal(await edge.stop(), 0)
  t.equal(await projections.stop(), 0)
  t.same(nats.violations(), [], 'the server refused nothing')
})
