import t from 'tap'
import { Family } from '../../src/events/index.ts'
import { AuditStream } from '../../src/infra/nats/log/audit-stream.ts'
import { startRegions } from '../harness/nats-regions.ts'
import { NaiveClient, openWriter, untilLease } from '../harness/region-writer.ts'
import { runConfab } from '../harness/replay.ts'

const servers = await startRegions(t, { delayMs: 5 })
const flags = ['--topology', servers.topologyFile, '--nats', servers.region('a').url]
const confab = (...args: string[]) => runConfab([...args, ...flags])
const region = (...args: string[]) => confab('region', ...args)

interface Change {
  readonly steps: readonly { stream: string; step: string; result: string; ms?: number; at?: string }[]
  readonly epoch?: number
  readonly cut: Record<string, number>
  readonly lostAtMost: Record<string, number>
  readonly refusedMs?: Record<string, number>
}
const changeOf = ({ stdout }: { stdout: string }): Change => JSON.parse(stdout) as Change

t.test('a home moves there and back while clients write', async t => {
  t.equal((await confab('streams', 'apply')).code, 0)
  const [a, b] = [await openWriter(t, servers, 'a'), await openWriter(t, servers, 'b')]
  await untilLease(a, 'CONV_0')
  const clients = Array.from(
    { length: 4 },
    (_, n) => new NaiveClient({ family: Family.conversation, id: `c${n}` }, [a, b]),
  )
  t.teardown(() => Promise.all(clients.map(client => client.stop())))

  const planned = await region('switch-over', '--all', '--to', 'b', '--dry-run', '--json')
  t.equal(planned.code, 0, planned.stderr)
  const plan = changeOf(planned)
  t.ok(plan.steps.every(({ result, at }) => result === 'planned' && at === undefined))
  t.same(
    plan.steps.filter(({ stream }) => stream === 'USER_0').map(({ step }) => step),
    ['freeze', 'marker', 'wait', 'promote', 'open', 're-mirror'],
  )
  t.equal(plan.epoch, undefined)
  t.match((await region('status')).stdout, /^CONV_0 +home +a +1 /m, 'a dry run changes nothing')

  const done = await region('switch-over', '--all', '--to', 'b', '--yes')
  t.equal(done.code, 0, done.stderr)
  t.match(done.stdout, /^promote +CONV_0 +\S+ ms +done$/m)
  t.match(done.stdout, /^stream +epoch +cut +writes refused$/m)
  t.match(done.stderr, /^ *[\d.]+ s {2}freeze {5}CONV_0, USER_0$/m, 'progress')
  await untilLease(b, 'CONV_0')
  const status = await region('status')
  t.match(status.stdout, /^CONV_0 +home +b +2 /m)
  t.match(status.stdout, /^c +yes +2$/m, 'the witness knows the epoch')
  t.match(await region('switch-over', '--all', '--to', 'b', '--yes'), {
    code: 0,
    stderr: /b is the home of all streams already/,
  })

  const back = await region('move', '--stream', 'CONV_0', '--to', 'a', '--yes', '--json')
  t.equal(back.code, 0, back.stderr)
  const { epoch, cut, lostAtMost, refusedMs } = changeOf(back)
  t.equal(epoch, 3)
  t.ok((cut.CONV_0 ?? 0) > 0)
  t.same(lostAtMost, { CONV_0: 0 })
  t.ok((refusedMs?.CONV_0 ?? 0) > 0)
  const audit = new AuditStream(await servers.region('a').connect())
  const records: unknown[] = []
  for await (const page of audit.read(1, await audit.last()))
    for (const { data } of page) records.push(JSON.parse(Buffer.from(data).toString('utf8')))
  t.match(
    records.filter(one => JSON.stringify(one).includes('region.move')),
    [
      { action: 'region.move', params: { stream: 'CONV_0', to: 'a' } },
      { action: 'region.move', result: { streams: 'CONV_0', to: 'a' } },
    ],
    'recorded in the region that became the home',
  )
})

t.test('what is refused', async t => {
  const refused = async (args: readonly string[], code: number, stderr: RegExp) =>
    t.match(await region(...args), { code, stderr }, args.join(' '))
  await refused(
    ['switch-over', '--all', '--to', 'x', '--yes'],
    2,
    /BAD_OPTION: --to: the topology has no region x/,
  )
  await refused(
    ['switch-over', '--all', '--to', 'c', '--yes'],
    2,
    /BAD_OPTION: --to: c holds no copy of CONV_0/,
  )
  await refused(
    ['switch-over', 'CONV_0', '--to', 'a', '--yes'],
    2,
    /BAD_OPTION: --to: a is the home of CONV_0/,
  )
  await refused(['switch-over', '--to', 'b', '--yes'], 2, /BAD_OPTION: give streams, or --all/)
  await refused(['switch-over', 'CONV_0', '--all', '--to', 'b'], 2, /BAD_OPTION: give streams, or --all/)
  await refused(['switch-over', 'X', '--to', 'b', '--yes'], 1, /NO_SUCH_STREAM/)
  await refused(['switch-over', 'CONV_0', '--to', 'b'], 2, /BAD_OPTION: .*there is no terminal/)
  await refused(['switch-over', '--resume', '--yes'], 1, /NO_SUCH_OPERATION/)
  await refused(['failover', '--all', '--to', 'b', '--fenced', 'x'], 2, /BAD_OPTION: --fenced/)
  await refused(['move', 'c1', '--to', 'b', '--yes'], 1, /STREAM_SHARED: CONV_0 holds other conversations/)
  await refused(['move', 'nothing', '--to', 'b', '--yes'], 1, /NO_SUCH_CONVERSATION/)
  await refused(['move', '--to', 'b', '--yes'], 2, /BAD_OPTION: give a conversation, or --stream/)
})

t.test('failover to a mirror, without the home, and only with a majority', async t => {
  servers.region('a').link.hold(true)
  t.teardown(() => servers.region('a').link.hold(false))
  const noMajority = await runConfab([
    ...['region', 'failover', '--all', '--to', 'b', '--yes', '--topology'],
    servers.topologyFile.replace(/$/, ''),
    '--nats',
    servers.region('a').url,
  ])
  t.comment(noMajority.stderr)
})
