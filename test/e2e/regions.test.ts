import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { ProcessRole } from '../../src/infra/nats/rights/rights.ts'
import { type ConfabProcess, readinessOf, spawnConfab, untilReady } from '../harness/confab-process.ts'
import { startRegions } from '../harness/nats-regions.ts'
import { environmentOf } from '../harness/nats-users.ts'
import { type Fields, RawClient } from '../harness/raw-client.ts'
import { replayLog, runConfab } from '../harness/replay.ts'
import { tempFolder } from '../harness/temp-folder.ts'

const secret = 'a secret of at least thirty-two bytes'

const until = async (holds: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await holds())) await sleep(20)
}

t.test('processes in the home and in a mirror form one system', { timeout: 120_000 }, async t => {
  const servers = await startRegions(t, { delayMs: 20 })
  const flags = ['--topology', servers.topologyFile, '--nats', servers.region('a').url]
  const applied = await runConfab(['streams', 'apply', ...flags])
  t.equal(applied.code, 0, applied.stderr)
  const folder = tempFolder(t)
  const processes: ConfabProcess[] = []
  const start = async (
    region: string,
    role: ProcessRole,
    env: Record<string, string> = {},
  ): Promise<ConfabProcess> => {
    const confab = await spawnConfab({
      data: join(folder, role === 'commands' ? `${region}-commands` : region),
      secret,
      env: {
        ...environmentOf(servers.region(region).port, role),
        CONFAB_MEDIA_FOLDER: join(folder, 'media'),
        ...env,
      },
      args: ['--roles', role, '--topology', servers.topologyFile],
    })
    processes.push(confab)
    t.teardown(() => confab.stop())
    return await untilReady(confab)
  }
  // A short timeout: a send that no home answers fails within the test.
  const short = { CONFAB_COMMANDS_REMOTE_TIMEOUT: '3s' }
  const narrow = { CONFAB_EDGE_INTEREST: 'conversations' }
  const [atA, atB, standby] = await Promise.all([
    start('a', 'edge', short),
    start('b', 'edge', { ...short, ...narrow }),
    start('b', 'commands'),
    start('a', 'commands'),
    start('a', 'projections'),
    start('b', 'projections'),
  ])

  const connect = async (edge: ConfabProcess, user: string): Promise<RawClient> => {
    const client = await RawClient.open(`${edge.url.replace('http', 'ws')}/v1/ws`)
    t.teardown(() => client.close())
    await client.ok('hello', { token: await edge.token(user), device: user })
    return client
  }
  const get = async (edge: ConfabProcess, user: string, path: string): Promise<Fields> => {
    const headers = { authorization: `Bearer ${await edge.token(user)}` }
    return (await (await fetch(`${edge.url}${path}`, { headers })).json()) as Fields
  }
  const metric = async (confab: ConfabProcess, pattern: RegExp): Promise<number> =>
    Number(pattern.exec(await (await fetch(`${confab.adminUrl}/metrics`)).text())?.[1] ?? 0)
  const isNarrow = async (): Promise<boolean> => (await metric(atB, /^confab_feed_narrow (\d)/m)) === 1
  const inboxHead = async (user: string): Promise<unknown> => {
    const { items } = (await get(atB, user, '/v1/inbox')) as { items: { c: string; head: number }[] }
    return items.find(({ c }) => c === 'tea')?.head
  }

  const [alice, bob] = await Promise.all([connect(atA, 'alice'), connect(atB, 'bob')])

  await t.test('after an answer its effect is readable at the mirror', async t => {
    for (let n = 0; n < 10; n++) {
      await bob.ok('create', { c: `new-${n}`, kind: 'group', members: ['alice'], key: `k-${n}` })
      t.match(await bob.request('history', { c: `new-${n}`, after: 0, limit: 10 }), { ok: true })
    }
  })

  await t.test('a client at the mirror sends, and the members in both regions receive it once', async t => {
    // The standby commands node of the region writes the digests of its copy.
    await until(isNarrow)
    await bob.ok('create', { c: 'tea', kind: 'group', members: ['alice'], key: 'k' })
    const seqs: unknown[] = []
    for (let n = 1; n <= 20; n++) {
      const [from, name] = n % 2 === 0 ? [alice, 'alice'] : [bob, 'bob']
      seqs.push((await from.ok('send', { c: 'tea', m: `${name}-${n}`, text: `ginger ${n}` })).seq)
    }
    const all = Array.from({ length: 21 }, (_, i) => i + 1)
    t.same(seqs, all.slice(1), 'acked in order')
    for (const client of [alice, bob]) {
      await client.event('tea', 21)
      t.same(client.seqs('tea'), all)
    }
    const again = await bob.ok('send', { c: 'tea', m: 'bob-1', text: 'ginger 1' })
    t.equal(again.seq, 2, 'a retry counts once')
    t.equal(await isNarrow(), true, 'digests are in time')
  })

  await t.test('views of the mirror answer history and inbox', async t => {
    await until(async () => (await inboxHead('bob')) === 21)
    const { events } = (await get(atB, 'bob', '/v1/conversations/tea/events?after=0&limit=50')) as {
      events: Fields[]
    }
    t.equal(events.length, 21)
    await until(async () => ((await get(atB, 'bob', '/v1/search?q=ginger')).hits as unknown[]).length === 20)
  })

  await t.test('signals pass between the regions', async () => {
    await alice.ok('typing', { c: 'tea', on: true })
    await bob.find(frame => frame.type === 'typing' && frame.user === 'alice')
    await bob.ok('typing', { c: 'tea', on: true })
    await alice.find(frame => frame.type === 'typing' && frame.user === 'bob')
  })

  await t.test('while the link is cut, the mirror answers reads, and refuses commands', async t => {
    servers.region('b').link.hold(true)
    const refused = await bob.request('send', { c: 'tea', m: 'in-the-cut', text: 'hello?' })
    t.match(refused, { ok: false, error: { code: 'UNAVAILABLE', retryable: true } })
    const { events } = await bob.ok('history', { c: 'tea', after: 0, limit: 50 })
    t.equal((events as unknown[]).length, 21, 'history')
    t.equal(await inboxHead('bob'), 21)
    await alice.ok('send', { c: 'tea', m: 'at-home', text: 'the home continues' })
    await until(async () => (await readinessOf(atB)).parts.commands === 'no home answers')
    t.equal((await readinessOf(atB)).ok, true)

    servers.region('b').link.hold(false)
    let answer: Fields = {}
    await until(async () => {
      answer = await bob.request('send', { c: 'tea', m: 'in-the-cut', text: 'hello?' })
      return answer.ok === true
    })
    await Promise.all([alice, bob].map(client => client.event('tea', 23)))
    for (const client of [alice, bob]) {
      const texts = client.frames.filter(frame => frame.t === 'event' && frame.m === 'in-the-cut')
      t.equal(texts.length, 1, 'once')
    }
  })

  const decidedByStandby = () => metric(standby, /confab_command_seconds_count\{[^}]*\} (\d+)/)
  t.equal(await decidedByStandby(), 0, 'a standby decides nothing')

  await t.test('a switch-over moves the commands to the standby, and each counts once', async t => {
    let isMoving = true
    const load = [alice, bob].map(async (client, index) => {
      let sent = 0
      for (; isMoving || sent < 20; sent++) {
        const message = { c: 'tea', m: `moving-${index}-${sent}`, text: 'still here' }
        await until(async () => (await client.request('send', message)).ok === true)
      }
      return sent
    })
    const moved = await runConfab(['region', 'switch-over', '--all', '--to', 'b', '--yes', ...flags])
    t.equal(moved.code, 0, moved.stderr)
    await until(async () => (await decidedByStandby()) > 0)
    isMoving = false
    const sent = (await Promise.all(load)).reduce((sum, one) => sum + one)
    const all = Array.from({ length: 23 + sent }, (_, i) => i + 1)
    for (const client of [alice, bob]) {
      await client.event('tea', all.length)
      t.same(client.seqs('tea'), all, 'in order, and once')
    }
    for (const region of ['a', 'b']) {
      const log = await replayLog(['--nats', servers.region(region).url])
      const messages = (log.get('tea') ?? []).map(({ m }) => m)
      t.equal(messages.length, all.length, `in region ${region}`)
      t.equal(new Set(messages).size, all.length, 'no message twice')
    }
  })
  for (const confab of processes) {
    t.equal(await confab.stop(), 0)
    t.notMatch(confab.output(), 'NATS_RIGHTS')
  }
})
