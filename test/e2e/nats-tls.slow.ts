import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { ProcessRole } from '../../src/infra/nats/rights/rights.ts'
import { type ConfabProcess, spawnConfab, untilReady } from '../harness/confab-process.ts'
import { type NatsSetup, type SetupUser, startSetup } from '../harness/nats-setup.ts'
import { type Fields, RawClient } from '../harness/raw-client.ts'
import { runConfab } from '../harness/replay.ts'
import { tempFolder } from '../harness/temp-folder.ts'
import { png, upload } from '../harness/upload.ts'

const secret = 'a secret of at least thirty-two bytes'
const limits = { timeout: 150_000 }

const until = async (holds: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await holds())) await sleep(20)
}

/** Starts `confab serve` as a user of the servers. */
const starter = (t: Test, setup: NatsSetup) => {
  const media = join(tempFolder(t), 'media')
  return async (
    user: SetupUser,
    roles: readonly ProcessRole[],
    data: string,
    more: Record<string, string> = {},
  ): Promise<ConfabProcess> => {
    const env: Record<string, string> = { ...setup.environment(user), CONFAB_MEDIA_FOLDER: media, ...more }
    const confab = await spawnConfab({ data, secret, env, args: ['--roles', roles.join(',')] })
    t.teardown(() => confab.stop())
    return confab
  }
}

const open = async (t: Test, edge: ConfabProcess, user: string, more: Fields = {}): Promise<RawClient> => {
  const client = await RawClient.open(`${edge.url.replace('http', 'ws')}/v1/ws`)
  t.teardown(() => client.close())
  await client.ok('hello', { token: await edge.token(user), device: user, ...more })
  return client
}

t.test('serve, send, tail, replay and doctor with one server and certificates', limits, async t => {
  const setup = await startSetup(t, 'single')
  t.equal((await setup.operate('streams', 'apply')).code, 0)
  const data = tempFolder(t)
  const start = starter(t, setup)
  const confab = await untilReady(await start('several-roles', ['edge', 'commands', 'projections'], data))
  const alice = await open(t, confab, 'alice')
  await alice.ok('create', { c: 'tea', kind: 'group', members: ['bob'] })

  const tail = spawn(
    process.execPath,
    [
      'src/cli/main.ts',
      'tail',
      '--user',
      'bob',
      '--conversation',
      'tea',
      '--format',
      'ndjson',
      '--data',
      data,
    ],
    { env: { ...process.env, ...setup.environment('operator') }, stdio: ['ignore', 'pipe', 'inherit'] },
  )
  t.teardown(() => tail.kill('SIGKILL'))
  let isPrinted = false
  const printed = once(tail.stdout, 'data').then(([text]) => {
    isPrinted = true
    return String(text)
  })
  for (let n = 0; !isPrinted; n++) {
    const args = ['send', 'tea', `hello ${n}`, '--user', 'alice', '--data', data]
    const sent = await runConfab(args, setup.environment('operator'))
    t.equal(sent.code, 0, sent.stderr)
  }
  t.match(await printed, /"type":"message.posted".*"text":"hello /)

  const replayed = await runConfab(['replay', '--conversation', 'tea'], setup.environment('analyst'))
  t.match(replayed, { code: 0, stdout: /"text":"hello 0"/ })
  t.notMatch(setup.log('n1'), 'Violation', 'the server refused nothing')
  const doctor = await runConfab(['doctor', '--port', '0'], {
    ...setup.environment('several-roles'),
    CONFAB_DATA: data,
  })
  t.match(doctor.stdout, /✓ {2}nats\.tls\.cert +valid for/)
  t.match(doctor.stdout, /✓ {2}NATS user several-roles +has no right to change or remove a stream/)
  // The user of a process may not append for another role, and says so.
  const refused = await runConfab(['streams', 'apply', '--replicas', '1'], setup.environment('edge'))
  t.match(refused, { code: 1, stderr: /NATS_RIGHTS/ })
  t.equal(await confab.stop(), 0)
})

t.test('edge processes at an edge site do all that those at the cluster do', limits, async t => {
  const setup = await startSetup(t, 'edge-site')
  t.equal((await setup.operate('streams', 'apply', '--replicas', '3')).code, 0)
  const start = starter(t, setup)
  const views = join(tempFolder(t), 'views')
  await untilReady(await start('projections', ['projections'], views))
  await untilReady(await start('commands', ['commands'], tempFolder(t)))
  const site = await untilReady(await start('site', ['edge'], views))
  const narrow = await untilReady(
    await start('site', ['edge'], views, { CONFAB_EDGE_INTEREST: 'conversations' }),
  )
  const near = await untilReady(await start('edge', ['edge'], views))
  const get = async (edge: ConfabProcess, path: string, user: string): Promise<Fields> => {
    const headers = { authorization: `Bearer ${await edge.token(user)}` }
    return (await (await fetch(`${edge.url}${path}`, { headers })).json()) as Fields
  }
  const alice = await open(t, site, 'alice')
  const bob = await open(t, near, 'bob')
  const carol = await open(t, narrow, 'carol')

  await t.test('messages pass in both directions, each once', async t => {
    await alice.ok('create', { c: 'tea', kind: 'group', members: ['bob', 'carol'], key: 'k' })
    await alice.ok('send', { c: 'tea', m: 'from-site', text: 'ginger' })
    await bob.ok('send', { c: 'tea', m: 'from-cluster', text: 'lemon' })
    await carol.ok('send', { c: 'tea', m: 'from-narrow', text: 'mint' })
    for (const client of [alice, bob, carol]) {
      await until(() => client.seqs('tea').length >= 3)
      t.equal(new Set(client.seqs('tea')).size, client.seqs('tea').length)
    }
  })

  await t.test('signals pass in both directions, each once', async t => {
    for (const [from, name, others] of [
      [alice, 'alice', [bob, carol]],
      [bob, 'bob', [alice, carol]],
      [carol, 'carol', [alice, bob]],
    ] as const) {
      const typing = (client: RawClient): number =>
        client.frames.filter(({ type, user }) => type === 'typing' && user === name).length
      await from.ok('typing', { c: 'tea', on: true })
      await until(() => others.every(client => typing(client) > 0))
      // Later frames of the same connections.
      await from.ok('send', { c: 'tea', m: `after-${name}`, text: 'later' })
      for (const client of others) await client.find(({ m }) => m === `after-${name}`)
      for (const client of others) t.equal(typing(client), 1, `${name} is typing`)
    }
  })

  await t.test('presence, markers, views and files', async t => {
    const stateOf = async (asking: RawClient, user: string): Promise<unknown> =>
      ((await asking.ok('presence', { users: [user] })) as { states: Fields }).states[user]
    for (const client of [alice, bob]) await client.ok('privacy', { lastSeen: 'everybody' })
    await until(async () => (await stateOf(bob, 'alice')) === 'online')
    await until(async () => (await stateOf(alice, 'bob')) === 'online')
    await bob.ok('read', { c: 'tea', seq: 4 })
    await until(async () => {
      const { hits = [] } = (await get(site, '/v1/search?q=ginger', 'alice')) as { hits?: unknown[] }
      return hits.length === 1
    })
    const attachment = await upload(site, 'alice', png('more'))
    await alice.ok('send', { c: 'tea', m: 'file', text: '', attachments: [attachment] })
    const answer = await fetch(`${near.url}/v1/conversations/tea/media/${attachment.mediaId}`, {
      headers: { authorization: `Bearer ${await near.token('bob')}` },
    })
    t.equal(answer.status, 200)
    await answer.arrayBuffer()
    const resumed = await open(t, site, 'carol', { resume: { tea: 2 } })
    await resumed.event('tea', 4)
    resumed.close()
  })

  await t.test('sessions and revocations', async t => {
    const listed = await setup.operate('sessions', 'ls', '--user', 'alice')
    t.match(listed.stdout, /^alice /m, 'operators see the sessions of the site')
    const dave = await open(t, site, 'dave')
    const other = await open(t, near, 'dave', { device: 'near' })
    t.equal((await setup.operate('sessions', 'end', '--user', 'dave', '--yes')).code, 0)
    t.equal((await dave.closed).code, 4004)
    t.equal((await other.closed).code, 4004)
  })

  await t.test('the link moves to another server of the cluster', async () => {
    const [, port] = /127\.0\.0\.1:(\d+) .* Leafnode connection created for account: EDGE/.exec(
      setup.log('site'),
    )!
    const hub = setup.ports.findIndex(({ leaf }) => leaf === Number(port)) + 1
    process.kill(Number(readFileSync(join(setup.folder, `n${hub}.pid`), 'utf8')), 'SIGKILL')
    await until(() => /Leafnode connection closed/.test(setup.log('site')))
    const sent = async (client: RawClient, m: string): Promise<boolean> =>
      (await client.request('send', { c: 'tea', m, text: 'after the end of a server' })).ok === true
    await until(() => sent(alice, 'later-site'))
    await bob.find(({ t, m }) => t === 'event' && m === 'later-site')
    await until(() => sent(bob, 'later-cluster'))
    await alice.find(({ t, m }) => t === 'event' && m === 'later-cluster')
  })
})

t.test('processes of two regions form one system over links with certificates', limits, async t => {
  const setup = await startSetup(t, 'two-regions')
  const topology = join(setup.folder, 'topology.yaml')
  const applied = await setup.operate('streams', 'apply', '--topology', topology)
  t.equal(applied.code, 0, applied.stderr)
  const start = starter(t, setup)
  const folder = tempFolder(t)
  const inRegion = async (region: 'a' | 'b', role: ProcessRole): Promise<ConfabProcess> =>
    untilReady(
      await start(role, [role], join(folder, role === 'commands' ? `${region}-commands` : region), {
        CONFAB_NATS: `tls://127.0.0.1:${setup.ports[region === 'a' ? 0 : 1]!.client}`,
        CONFAB_TOPOLOGY: topology,
      }),
    )
  const [atA, atB] = await Promise.all([
    inRegion('a', 'edge'),
    inRegion('b', 'edge'),
    inRegion('a', 'commands'),
    inRegion('a', 'projections'),
    inRegion('b', 'projections'),
  ])
  const [alice, bob] = await Promise.all([open(t, atA, 'alice'), open(t, atB, 'bob')])
  await bob.ok('create', { c: 'tea', kind: 'group', members: ['alice'], key: 'k' })
  await bob.ok('send', { c: 'tea', m: 'from-b', text: 'from the mirror to the home' })
  await alice.find(({ t, m }) => t === 'event' && m === 'from-b')
  await alice.ok('send', { c: 'tea', m: 'from-a', text: 'from the home to the mirror' })
  await bob.find(({ t, m }) => t === 'event' && m === 'from-a')
  await alice.ok('typing', { c: 'tea', on: true })
  await bob.find(({ type, user }) => type === 'typing' && user === 'alice')
  const status = await setup.operate('region', 'status', '--topology', topology)
  t.match(status.stdout, /^CONV_0 +mirror +b +3 +0 /m)
})
