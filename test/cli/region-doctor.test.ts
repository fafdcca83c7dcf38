import { type JetStreamManager, jetstream } from '@nats-io/jetstream'
import t from 'tap'
import { openManager } from '../../src/infra/nats/log/streams.ts'
import { startNats } from '../harness/nats.ts'
import { applied, startRegions } from '../harness/nats-regions.ts'
import { runConfab } from '../harness/replay.ts'

t.test('a system of one region', async t => {
  const nats = await startNats(t)
  const result = await runConfab(['region', 'doctor', '--nats', nats.url])
  t.equal(result.code, 0, result.stderr)
  t.match(result.stdout, /^✓ +servers +main +nats-server 2\.\S+, JetStream API level \d+/m)
  t.match(result.stdout, /^✓ +CONV_0 +main +home, last message 0/m)
  t.match(await runConfab(['region', 'doctor', '--yes', '--nats', nats.url]), {
    code: 2,
    stdout: '',
    stderr: /^error BAD_OPTION: --yes and --dry-run need --fix/m,
  })
})

t.test('a system of two regions and a witness', async t => {
  const servers = await startRegions(t)
  const open = await applied(servers)
  const [atA, atB] = (await Promise.all(open.map(({ nats }) => openManager(nats.connection)))) as [
    JetStreamManager,
    JetStreamManager,
  ]
  const js = jetstream(open[0]!.nats.connection)
  for (let n = 0; n < 20; n++) await js.publish(`epoch.1.conv.1.c${n}`, 'x')
  const doctor = (...args: string[]) =>
    runConfab([
      ...['region', 'doctor', ...args],
      ...['--nats', servers.region('a').url, '--topology', servers.topologyFile],
    ])
  const records = async (): Promise<{ action: string; target: string; result?: unknown }[]> => {
    const { stdout } = await runConfab(['audit', 'ls', '--json', '--nats', servers.region('a').url])
    return JSON.parse(stdout).filter(({ action }: { action: string }) => action === 'region.cure')
  }
  while ((await atB.streams.info('CONV_0')).state.last_seq < 20);
  const well = await doctor()
  t.equal(well.code, 0, `${well.stdout}${well.stderr}`)
  t.match(well.stdout, /^✓ +link +a to b +passes all subjects/m)

  await atA.consumers.delete('CONV_0', 'mirror-b')
  await atB.streams.deleteMessage('CONV_0', 7)
  await js.publish('epoch.1.conv.1.x', 'behind')
  const ill = await doctor('--json')
  t.match(ill, { code: 1, stderr: /^error NOT_READY: CONV_0 \(b\), CONV_0 \(a\): see above$/m })
  const found = JSON.parse(ill.stdout)
  t.match(found[0], { what: 'CONV_0', state: 'ill', where: 'b', detail: /is stalled/, advice: /^repair/ })
  t.same(Object.keys(found[0]).sort(), ['advice', 'detail', 'state', 'what', 'where'])

  const dry = await doctor('--fix', '--dry-run')
  t.equal(dry.code, 0, dry.stderr)
  t.match(dry.stderr, /^set CONV_0, its mirrors and their consumers as defined$/m)
  t.match(dry.stderr, /^destructive: delete CONV_0 in b, and copy it again from its home in a$/m)
  t.match(await doctor('--fix'), {
    code: 2,
    stderr: /^with --yes only: delete CONV_0 in b, [\s\S]*^error BAD_OPTION: this command asks first/m,
  })
  t.same(await records(), [], 'nothing was changed')
  t.equal((await atB.streams.info('CONV_0')).state.last_seq, 20)

  const fixed = await doctor('--fix', '--yes')
  t.equal(fixed.code, 0, `${fixed.stdout}${fixed.stderr}`)
  t.match(fixed.stdout, /^✓ +CONV_0 +b +mirror/m)
  while ((await atB.streams.info('CONV_0')).state.last_seq < 21);
  t.equal((await atB.streams.info('CONV_0')).state.messages, 21)
  const ended = (await records()).filter(({ result }) => result !== undefined)
  t.match(
    ended.find(({ target }) => /^set CONV_0/.test(target)),
    {
      result: { 'CONV_0 in b': 'updated consumer mirror-b' },
    },
  )
  t.match(
    ended.find(({ target }) => /^delete CONV_0 in b/.test(target)),
    {
      result: { 'CONV_0 in b': 'replaced' },
    },
  )

  await servers.region('c').stop()
  t.match(await doctor(), { code: 1, stdout: /^✗ +servers +c +cannot be reached/m })
})
