import t from 'tap'
import { openLogWithBus } from '../../src/app/open-log.ts'
import { sleep } from '../../src/base/sleep.ts'
import { createLogLookup } from '../../src/commands/index.ts'
import { type ConversationRequest, Family, partitionOf } from '../../src/events/index.ts'
import { AuditStream } from '../../src/infra/nats/log/audit-stream.ts'
import { openManager } from '../../src/infra/nats/log/streams.ts'
import type { Region } from '../../src/infra/nats/regions/topology.ts'
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

t.test('a failover loses events, which the region that rejoins lists, and which are sent again', async t => {
  const at = servers.topology.regions.find(({ name }) => name === 'a')
  const opened = await openLogWithBus(await servers.region('a').connect(), {
    lookup: (log, events) => createLogLookup(log, 1_000_000, events),
    regions: { topology: servers.topology, own: at as Region, writes: false },
  })
  await opened.feed.start()
  t.teardown(() => opened.close(1_000))
  const run = (request: object) =>
    opened.bus.execute({ id: 'x', c: 'tea', ...request } as ConversationRequest, {
      from: 'ann',
      at: '2026-01-01T00:00:00.000Z',
    })
  await run({ t: 'create', kind: 'channel', members: [], key: 'k' })
  await run({ t: 'send', m: 'm1', text: 'before' })
  const target = await openManager((await servers.region('b').connect()).connection)
  const home = await openManager((await servers.region('a').connect()).connection)
  const last = (await home.streams.info('CONV_0')).state.last_seq
  while ((await target.streams.info('CONV_0')).state.last_seq < last) await sleep(20)

  servers.region('a').link.hold(true)
  await run({ t: 'send', m: 'm2', text: 'lost' })
  await run({ t: 'edit', m: 'm2', text: 'lost and edited' })
  await run({ t: 'rename', title: 'Tea' })
  const done = await region('failover', '--all', '--to', 'b', '--yes', '--json')
  t.equal(done.code, 0, done.stderr)
  t.match(changeOf(done), { cut: { CONV_0: last }, lostAtMost: { CONV_0: 3 } })
  t.match(done.stderr, /a, the home of CONV_0, answers: "confab region switch-over" would lose nothing/)
  t.match(await region('lost', 'ls', '--json'), { code: 0, stdout: /"lost": \[\]/ })

  servers.region('a').link.hold(false)
  const planned = await region('rejoin', 'a', '--dry-run')
  t.match(planned.stdout, /^CONV_0 +b +[\d,]+ +[\d,]+ +3$/m, planned.stderr)
  const back = await region('rejoin', 'a', '--yes')
  t.equal(back.code, 0, back.stderr)
  t.match(back.stderr, /a had events that the new homes lack/)
  const listed = await region('lost', 'ls', '--json')
  t.match(JSON.parse(listed.stdout), {
    lost: [
      { stream: 'CONV_0', streamSeq: last + 1, c: 'tea', m: 'm2', type: 'message.posted', from: 'ann' },
      { type: 'message.edited' },
      { type: 'conversation.renamed' },
    ],
  })
  t.equal((await region('rejoin', 'a', '--yes')).code, 0, 'nothing is left to do')
  const again = await region('lost', 'resubmit', '--yes', '--json')
  t.match(again, { code: 1, stderr: /LOST_EVENTS_LEFT: 1 events cannot be sent again/ })
  t.match(JSON.parse(again.stdout), {
    lost: [{ outcome: 'stored' }, { outcome: 'stored' }, { outcome: 'refused' }],
  })
  t.match(JSON.parse((await region('lost', 'discard', '--yes', '--json')).stdout), {
    lost: [{ type: 'conversation.renamed', outcome: 'discarded' }],
  })
  const stored = await target.streams.getMessage('CONV_0', { last_by_subj: `conv.${partitionOf('tea')}.tea` })
  t.match(stored?.json(), { type: 'message.edited', m: 'm2', text: 'lost and edited' })
  const status = await region('status', '--hash', '10000')
  t.equal(status.code, 0, `${status.stdout}${status.stderr}`)
})

t.test('without a majority nothing changes; a region that is off for certain does not count', async t => {
  await servers.region('b').stop()
  await servers.region('c').stop()
  t.match(await region('failover', '--all', '--to', 'a', '--yes'), {
    code: 1,
    stderr: /NO_MAJORITY: 1 region answers, and 2 are needed/,
  })
  await servers.region('c').start()
  const done = await region('failover', '--all', '--to', 'a', '--fenced', 'b', '--yes')
  t.equal(done.code, 0, done.stderr)
})
