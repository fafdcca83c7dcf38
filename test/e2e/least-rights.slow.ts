import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { viewsFile } from '../../src/app/open-views.ts'
import type { NatsUser, ProcessRole } from '../../src/infra/nats/rights/rights.ts'
import { type ConfabProcess, spawnConfab, untilReady } from '../harness/confab-process.ts'
import { startNats } from '../harness/nats.ts'
import { environmentOf } from '../harness/nats-users.ts'
import { type Fields, RawClient } from '../harness/raw-client.ts'
import { runConfab } from '../harness/replay.ts'
import { tempFolder } from '../harness/temp-folder.ts'
import { png, upload } from '../harness/upload.ts'

const secret = 'a secret of at least thirty-two bytes'
/** Options that make rare actions of a process happen within the test. */
const options = { CONFAB_COMMANDS_SNAPSHOT_EVERY: '16' }

const until = async (holds: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await holds())) await sleep(20)
}

t.test(
  'a system of processes with the rights of their roles does all that one does',
  { timeout: 150_000 },
  async t => {
    const nats = await startNats(t, { hasUsers: true, streams: false })
    const folder = tempFolder(t)
    const views = join(folder, 'views')
    const processes: ConfabProcess[] = []
    const start = async (
      role: ProcessRole,
      data: string,
      env: Record<string, string> = {},
    ): Promise<ConfabProcess> => {
      const confab = await spawnConfab({
        data,
        secret,
        env: {
          ...environmentOf(nats.port, role),
          CONFAB_MEDIA_FOLDER: join(folder, 'media'),
          ...options,
          ...env,
        },
        args: ['--roles', role],
      })
      processes.push(confab)
      t.teardown(() => confab.stop())
      return confab
    }
    const run = (user: NatsUser, ...args: string[]) =>
      runConfab(args, { ...environmentOf(nats.port, user), CONFAB_DATA: views })
    const well = async (user: NatsUser, ...args: string[]) => {
      const result = await run(user, ...args)
      t.equal(result.code, 0, `${user}: ${args.join(' ')}: ${result.stderr} ${result.stdout}`)
      return result
    }

    await well('operator', 'streams', 'apply')
    const projections = await untilReady(await start('projections', views))
    const commands = await untilReady(await start('commands', join(folder, 'commands')))
    const wide = await untilReady(await start('edge', views))
    const narrow = await untilReady(await start('edge', views, { CONFAB_EDGE_INTEREST: 'conversations' }))

    const open = async (edge: ConfabProcess, user: string, more: Fields = {}): Promise<RawClient> => {
      const client = await RawClient.open(`${edge.url.replace('http', 'ws')}/v1/ws`)
      t.teardown(() => client.close())
      await client.ok('hello', { token: await edge.token(user), device: user, ...more })
      return client
    }
    const get = async (path: string, user = 'alice'): Promise<Fields> => {
      const headers = { authorization: `Bearer ${await wide.token(user)}` }
      return (await (await fetch(`${wide.url}${path}`, { headers })).json()) as Fields
    }
    const metric = async (confab: ConfabProcess, name: string): Promise<number> => {
      const text = await (await fetch(`${confab.adminUrl}/metrics`)).text()
      return Number(
        text
          .split('\n')
          .find(line => line.startsWith(`${name} `))
          ?.slice(name.length + 1),
      )
    }
    const search = async (q: string): Promise<number> =>
      ((await get(`/v1/search?q=${q}&limit=100`)).hits as unknown[] | undefined)?.length ?? 0

    const alice = await open(wide, 'alice')
    const bob = await open(narrow, 'bob')
    const presenceOfCarol = async (): Promise<unknown> =>
      ((await bob.ok('presence', { users: ['carol'] })) as { states: Fields }).states.carol

    await t.test('messages, markers, profiles and snapshots', async () => {
      await alice.ok('create', { c: 'tea', kind: 'group', members: ['bob', 'carol'], key: 'k' })
      for (let n = 1; n <= 40; n++) await alice.ok('send', { c: 'tea', m: `m${n}`, text: `ginger ${n}` })
      await bob.event('tea', 41)
      await bob.ok('read', { c: 'tea', seq: 41 })
      await bob.ok('block', { user: 'mallory', on: true })
      await bob.ok('send', { c: 'tea', m: 'from-bob', text: 'lemon' })
      await alice.event('tea', 42)
      await alice.ok('direct', { user: 'bob' })
    })

    await t.test('digests and signals in narrow mode', async () => {
      await until(async () => (await metric(narrow, 'confab_feed_narrow')) === 1)
      await alice.ok('create', { c: 'others', kind: 'group', members: [], key: 'k2' })
      await alice.ok('send', { c: 'others', m: 'x', text: 'bob does not need it' })
      await until(async () => (await metric(narrow, 'confab_feed_events_total{outcome="skipped"}')) > 0)
      await alice.ok('typing', { c: 'tea', on: true })
      await bob.find(frame => frame.type === 'typing' && frame.user === 'alice')
      await alice.ok('send', { c: 'tea', m: 'after', text: 'in narrow mode' })
      await bob.event('tea', 43)
    })

    await t.test('presence', async () => {
      const carol = await open(wide, 'carol')
      await carol.ok('privacy', { lastSeen: 'everybody' })
      await until(async () => (await presenceOfCarol()) === 'online')
      carol.close()
      await until(async () => (await presenceOfCarol()) === 'offline')
    })

    await t.test('views, resume and history', async t => {
      await until(async () => (await search('ginger')) === 40)
      const { items } = (await get('/v1/inbox', 'bob')) as { items: { c: string }[] }
      t.ok(items.some(({ c }) => c === 'tea'))
      const carol = await open(narrow, 'carol', { resume: { tea: 40 } })
      await carol.event('tea', 43)
      carol.close()
    })

    await t.test('media', async t => {
      const attachment = await upload(wide, 'alice', png('more'))
      await alice.ok('send', { c: 'tea', m: 'file', text: '', attachments: [attachment] })
      await bob.event('tea', 44)
      const answer = await fetch(`${narrow.url}/v1/conversations/tea/media/${attachment.mediaId}`, {
        headers: { authorization: `Bearer ${await narrow.token('bob')}` },
      })
      t.equal(answer.status, 200)
      await answer.arrayBuffer()
    })

    await t.test('sessions and revocations', async t => {
      const lost = await open(narrow, 'alice', { device: 'lost' })
      await until(async () => {
        const { sessions } = (await alice.ok('sessions')) as { sessions: { device: string }[] }
        return sessions.some(({ device }) => device === 'lost')
      })
      const { sessions } = (await alice.ok('sessions')) as { sessions: { device: string; session: string }[] }
      await alice.ok('sessions', { end: sessions.find(({ device }) => device === 'lost')?.session })
      t.equal((await lost.closed).code, 4004)
      const dave = await open(narrow, 'dave')
      t.match((await well('operator', 'sessions', 'ls', '--user', 'dave')).stdout, /^dave /m)
      await well('operator', 'sessions', 'end', '--user', 'dave', '--yes')
      t.equal((await dave.closed).code, 4004)
    })

    await t.test('projections: list, pause, rebuild, dead letters', async t => {
      const sql = (text: string): void => {
        const db = new DatabaseSync(viewsFile(views), { timeout: 10_000 })
        db.exec(text)
        db.close()
      }
      sql(
        "CREATE TRIGGER no BEFORE INSERT ON roster WHEN NEW.user = 'ghost' BEGIN SELECT RAISE(ABORT, 'no'); END",
      )
      await alice.ok('invite', { c: 'tea', user: 'ghost' })
      await until(async () =>
        (await run('operator', 'projections', 'dead-letters')).stdout.includes('roster'),
      )
      sql('DROP TRIGGER no')
      t.match(
        (await well('operator', 'projections', 'retry', '--reason', 'no')).stderr,
        /1 letter was applied/,
      )
      await well('operator', 'projections', 'pause', 'search')
      await well('operator', 'projections', 'resume', 'search')
      await well('operator', 'projections', 'rebuild', 'inbox')
      await until(async () => (await run('operator', 'projections', 'switch', 'inbox')).code === 0)
      t.match((await well('operator', 'projections', 'ls')).stdout, /^inbox +2 +live/m)
    })

    await t.test('commands of operators and analysts', async t => {
      t.match((await well('operator', 'streams', 'status')).stdout, /^CONV_0 .* yes$/m)
      t.match(
        (await well('operator', 'doctor', '--port', '0')).stdout,
        /· {2}NATS user operator +may do everything/,
      )
      t.match((await well('analyst', 'replay', '--users')).stdout, /"text":"ginger 40"/)
      t.match((await well('analyst', 'replay', '--conversation', 'tea')).stdout, /"text":"lemon"/)
      const lines = join(folder, 'lines.ndjson')
      const line = {
        c: 'imported',
        m: 'i1',
        from: 'erin',
        at: '2020-01-01T00:00:00Z',
        text: 'from elsewhere',
      }
      writeFileSync(lines, `${JSON.stringify(line)}\n`)
      await well('operator', 'import', 'ndjson', lines)
      await until(async () => (await search('ginger')) === 40)
    })

    await t.test('a restart of the server', async () => {
      await nats.restart()
      const sent = async (): Promise<boolean> =>
        (await alice.request('send', { c: 'tea', m: 'later', text: 'after the restart' })).ok === true
      await until(sent)
      await bob.find(frame => frame.t === 'event' && frame.m === 'later')
      const carol = await open(wide, 'carol')
      await until(async () => (await presenceOfCarol()) === 'online')
      carol.close()
      await until(async () => (await search('restart')) === 1)
    })

    // A stop hands over commands, leases, presence and last-seen times.
    for (const confab of [narrow, wide, commands, projections]) t.equal(await confab.stop(), 0)
    t.same(nats.violations(), [], 'the server refused nothing')
    const { stdout } = await run('edge', 'doctor', '--port', '0')
    t.match(stdout, /✓ {2}NATS user edge +has no right to change or remove a stream/)
    t.match(
      stdout,
      /· {2}projections +the NATS user of this process may not publish to confab\.projections\.status/,
    )
    const { code, stderr } = await run('edge', 'projections', 'pause', 'inbox')
    t.equal(code, 1)
    t.match(
      stderr,
      /^error NATS_RIGHTS: the NATS user of this process may not publish to \$KV\.confab-projections/m,
    )
    for (const confab of processes) t.notMatch(confab.output(), 'NATS_RIGHTS')
  },
)
