import { type JetStreamManager, jetstream } from '@nats-io/jetstream'
import t from 'tap'
import { sleep } from '../../../src/base/sleep.ts'
import { openManager } from '../../../src/infra/nats/log/streams.ts'
import { applyRegions, planRegions } from '../../../src/infra/nats/regions/apply-regions.ts'
import { judgeMirror, regionsStatus } from '../../../src/infra/nats/regions/region-status.ts'
import { mirrorConsumer } from '../../../src/infra/nats/regions/region-streams.ts'
import { comparableHeaders } from '../../../src/infra/nats/regions/tail-digest.ts'
import { definitions, startRegions } from '../../harness/nats-regions.ts'

const servers = await startRegions(t)
const { topology } = servers
const open = await Promise.all(
  topology.regions.map(async region => ({ region, nats: await servers.region(region.name).connect() })),
)
const [atA, atB] = (await Promise.all(open.slice(0, 2).map(({ nats }) => openManager(nats.connection)))) as [
  JetStreamManager,
  JetStreamManager,
]
const js = jetstream(open[0]!.nats.connection)

const plan = (wanted = definitions) => planRegions(topology, open, wanted)
const apply = async (wanted = definitions, allowLoss: readonly string[] = []) => {
  const outcomes: string[] = []
  const onApplied = ({ region, stream, outcome, changed }: Parameters<typeof texts>[0]) =>
    outcomes.push(texts({ region, stream, outcome, changed }))
  try {
    await applyRegions(topology, open, wanted, { allowLoss: new Set(allowLoss), onApplied })
    return { outcomes, error: undefined }
  } catch (error) {
    return { outcomes, error: error as Error & { code: string } }
  }
}
const texts = (one: { region: string; stream: string; outcome: string; changed: readonly string[] }) =>
  [one.region, one.stream, one.outcome, ...one.changed].join(' ')
const lastIn = async (manager: JetStreamManager) => (await manager.streams.info('CONV_0')).state.last_seq
const untilLevel = async () => {
  const last = await lastIn(atA)
  while ((await lastIn(atB)) < last) await sleep(20)
}
const status = (hash?: number) => regionsStatus(topology, open, definitions, { hash, watchMs: 300 })

t.test('the plan has the streams of each region, and apply creates them in order', async t => {
  const planned = await plan()
  t.same(
    planned.changes.map(({ region, stream, field, to }) => [region, stream, field, to].join(' ')),
    [
      ...['a', 'b'].flatMap(region =>
        ['AUDIT', 'CONV_0', 'DEAD_LETTERS', 'SNAPSHOTS', 'USER_0', 'PROMISES'].map(
          name => `${region} ${name} name ${name}`,
        ),
      ),
      'c PROMISES name PROMISES',
      'a CONV_0 consumer mirror-b from 1',
      'a USER_0 consumer mirror-b from 1',
      ...['a', 'b', 'c'].map(region => `${region} PROMISES promises change 1`),
    ],
  )
  t.match((await status()).problems, [/^CONV_0 has no home/, /^USER_0 has no home/])
  const { outcomes, error } = await apply()
  t.equal(error, undefined)
  t.same(outcomes.slice(-2), ['b CONV_0 created', 'b USER_0 created'], 'mirrors follow their homes')
  t.equal(outcomes.length, 13)
  t.same(await plan(), { changes: [], kept: [], conflicts: [] })
  const again = await apply()
  t.ok(
    again.outcomes.every(text => text.endsWith(' unchanged')),
    again.outcomes.join(', '),
  )
  const [home, mirror] = await Promise.all([atA, atB].map(manager => manager.streams.info('CONV_0')))
  t.match(home?.config.metadata, { 'confab.role': 'home', 'confab.epoch': '1' })
  t.match(mirror?.config.metadata, { 'confab.role': 'mirror', 'confab.epoch': '1' })
  t.notOk(mirror?.config.subjects)
})

t.test(
  'events of the home are in the mirror with their sequences, and on the live feed of the region',
  async t => {
    const live: number[] = []
    open[1]!.nats.subscribe('live.conv.>', msg => live.push(Number(msg.headers?.get('Nats-Sequence'))))
    await open[1]!.nats.connection.flush()
    const acks = await Promise.all(
      Array.from({ length: 2_000 }, (_, n) =>
        js.publish(`epoch.1.conv.1.c${n % 10}`, `event ${n}`, {
          msgID: `m${n}`,
          expect: { streamName: 'CONV_0' },
        }),
      ),
    )
    await untilLevel()
    t.equal((await atB.streams.info('CONV_0')).state.messages, 2_000)
    for (const { seq } of acks.filter((_, n) => n % 100 === 0)) {
      const [one, other] = await Promise.all([atA, atB].map(to => to.streams.getMessage('CONV_0', { seq })))
      t.same([one?.subject, one?.string()], [other?.subject, other?.string()])
    }
    while (live.length < 2_000) await sleep(20)
    t.same(
      live,
      Array.from({ length: 2_000 }, (_, n) => n + 1),
      'in order, and once: the live feed of the home stays in its region',
    )
    const { regions, streams, problems } = await status(2_000)
    t.same(problems, [])
    t.same(
      regions,
      ['a', 'b', 'c'].map(region => ({ region, reachable: true, epochSeen: 1 })),
    )
    t.same(
      streams.find(({ stream }) => stream === 'CONV_0'),
      {
        stream: 'CONV_0',
        home: 'a',
        epoch: 1,
        ack: 'home',
        homeLast: 2_000,
        mirrors: [
          {
            region: 'b',
            last: 2_000,
            behind: 0,
            seconds: 0,
            moving: false,
            stalled: false,
            hashEqual: true,
          },
        ],
      },
    )
  },
)

t.test('a region stores nothing that is published in another one', async t => {
  const names = [
    'conv.1.x',
    'user.1.x',
    'audit.log',
    'snap.conv.x',
    'dead.search',
    'live.conv.1.x',
    'epoch.1.conv.1.x',
    'promises.a',
    'journal.a',
  ]
  const before = await Promise.all(definitions.map(({ name }) => atA.streams.info(name)))
  for (const name of names) open[1]!.nats.connection.publish(name, 'x')
  const api = `$JS.a.API.STREAM`
  for (const subject of [
    ...[`${api}.DELETE.CONV_0`, `${api}.PURGE.SNAPSHOTS`, `${api}.CREATE.X`, `${api}.LIST`],
    ...['CREATE.CONV_0.x', 'DURABLE.CREATE.CONV_0.x', 'DELETE.CONV_0.mirror-b'].map(
      rest => `$JS.a.API.CONSUMER.${rest}`,
    ),
  ])
    await t.rejects(open[1]!.nats.connection.request(subject, '{}', { timeout: 300 }), subject)
  const after = await Promise.all(definitions.map(({ name }) => atA.streams.info(name)))
  t.same(
    after.map(({ state }) => state.last_seq),
    before.map(({ state }) => state.last_seq),
  )
})

t.test('settings of a mirror and of its consumer are repaired', async t => {
  const { config } = await atB.streams.info('CONV_0')
  await atB.streams.update('CONV_0', { ...config, max_msgs: 5_000, description: 'by hand' })
  await atA.consumers.delete('CONV_0', 'mirror-b')
  const planned = await plan()
  t.match(planned.changes, [
    { region: 'b', stream: 'CONV_0', field: 'description', destructive: false },
    { region: 'b', stream: 'CONV_0', field: 'max_msgs', from: 5_000, to: -1, destructive: false },
    { region: 'a', stream: 'CONV_0', field: 'consumer mirror-b', to: 'from 2001', destructive: false },
  ])
  const { outcomes, error } = await apply()
  t.equal(error, undefined)
  t.ok(outcomes.includes('b CONV_0 updated description max_msgs'), outcomes.join(', '))
  t.same((await plan()).changes, [])
  await js.publish('epoch.1.conv.1.x', 'after the repair')
  await untilLevel()

  const other = { ...mirrorConsumer('b', 'USER_0', 1), max_ack_pending: 7 }
  await atA.consumers.delete('USER_0', 'mirror-b')
  await atA.consumers.add('USER_0', { ...other, replay_policy: 'instant' } as never)
  t.match((await plan()).changes, [{ stream: 'USER_0', field: 'consumer mirror-b', from: 'max_ack_pending' }])
  t.ok((await apply()).outcomes.includes('b USER_0 updated consumer mirror-b'))
  t.same((await plan()).changes, [])
  await js.publish('epoch.1.user.1.x', 'after the replacement')
  while ((await atB.streams.info('USER_0')).state.last_seq < 1) await sleep(20)
})

t.test('a loss in one region is refused in all, after missing streams are created', async t => {
  await atB.streams.purge('SNAPSHOTS')
  for (let n = 0; n < 3; n++) await jetstream(open[1]!.nats.connection).publish(`snap.conv.${n}`, 'x')
  await atB.streams.delete('AUDIT')
  const losing = definitions.map(one =>
    one.name === 'SNAPSHOTS'
      ? { ...one, max_msgs: 2 }
      : one.name === 'CONV_0'
        ? { ...one, max_bytes: 1e9 }
        : one,
  )
  t.match(
    (await plan(losing)).changes
      .filter(({ destructive }) => destructive)
      .map(({ region, field }) => [region, field]),
    [
      ['a', 'max_bytes'],
      ['b', 'max_bytes'],
      ['b', 'max_msgs'],
    ],
  )
  const { outcomes, error } = await apply(losing)
  t.match(error, { code: 'WOULD_LOSE_DATA' })
  t.same(outcomes, ['b AUDIT created'])
  t.equal((await atB.streams.info('SNAPSHOTS')).state.messages, 3)
  const accepted = await apply(losing, ['SNAPSHOTS', 'CONV_0'])
  t.equal(accepted.error, undefined)
  t.equal((await atB.streams.info('SNAPSHOTS')).state.messages, 2)
  t.equal((await apply()).error, undefined)
})

t.test('the epoch of a stream is never lowered', async t => {
  const { config } = await atA.streams.info('CONV_0')
  await atA.streams.update('CONV_0', { ...config, metadata: { ...config.metadata, 'confab.epoch': '7' } })
  t.match((await plan()).conflicts, [
    { region: 'a', stream: 'CONV_0', why: /^has epoch 7 there, and its promise has epoch 1/ },
  ])
  t.match((await apply()).error, { code: 'WOULD_LOSE_DATA' })
  const { regions, streams } = await status()
  t.equal(streams[0]?.epoch, 7)
  t.equal(regions[0]?.epochSeen, 7)
  await atA.streams.update('CONV_0', { ...config, metadata: { ...config.metadata, 'confab.epoch': '1' } })
})

t.test('messages that differ', async t => {
  await atB.streams.deleteMessage('CONV_0', 1_990)
  const found = await status(100)
  t.same(found.problems, [
    'the mirror of CONV_0 in b has skipped 1 messages of its home: replace the mirror',
    'the mirror of CONV_0 in b holds other messages than its home',
  ])
  t.equal(found.streams[0]?.mirrors[0]?.hashEqual, false)
  t.equal((await status(5)).streams[0]?.mirrors[0]?.hashEqual, true, 'the last ones are equal')
  await atA.streams.deleteMessage('CONV_0', 1_990)
  t.same((await status(100)).problems, [], 'deleted in both')
})

t.test('apply moves no home, and begins no second one', async t => {
  const swapped = {
    ...topology,
    placements: new Map(
      [...topology.placements].map(([key, one]) => [key, { ...one, home: 'b', mirrors: ['a'] }]),
    ),
  }
  t.same(
    await planRegions(swapped, open, definitions),
    { changes: [], kept: [], conflicts: [] },
    'the promises name the home, the topology only the first one',
  )
  const managers = await Promise.all(open.map(({ nats }) => openManager(nats.connection)))
  await Promise.all(managers.map(manager => manager.streams.delete('PROMISES')))
  const planned = await planRegions(swapped, open, definitions)
  t.match(planned.conflicts, [
    { region: 'a', stream: 'CONV_0', why: /takes events there, and the topology has its home in b/ },
    { region: 'a', stream: 'USER_0' },
    { region: 'b', stream: 'CONV_0', why: /is a mirror there, and the topology has its home there/ },
    { region: 'b', stream: 'USER_0' },
  ])
  t.ok(
    planned.changes.every(({ destructive, field }) => destructive || /^(consumer|name|promises)/.test(field)),
    JSON.stringify(planned.changes),
  )
  const options = { allowLoss: new Set(['CONV_0', 'USER_0']), onApplied: () => {} }
  await t.rejects(applyRegions(swapped, open, definitions, options), {
    code: 'WOULD_LOSE_DATA',
    message: /^CONV_0 in a takes events there, .*: correct the topology/,
  })
  t.equal((await apply()).error, undefined)

  await atA.streams.delete('CONV_0')
  const lost = await apply(definitions, ['CONV_0'])
  t.match(lost.error, {
    code: 'WOULD_LOSE_DATA',
    message:
      /CONV_0 in a does not exist in its home, and b has events of it up to 2001: a new home would begin at 1/,
  })
  t.match((await plan()).changes, [{ region: 'a', stream: 'CONV_0', field: 'name', destructive: true }, {}])
  t.match((await status()).problems, [/CONV_0 has no home/])
  await t.rejects(atA.streams.info('CONV_0'), 'not created')

  const { config } = await atB.streams.info('CONV_0')
  await atB.streams.update('CONV_0', { ...config, mirror: undefined, subjects: ['conv.*.*'] } as never)
  await atA.streams.add({ name: 'CONV_0', subjects: ['conv.*.*'] })
  t.match((await status()).problems, [/^CONV_0 has 2 homes, a and b: only one may take events$/])
})

t.test('a region that does not answer', async t => {
  const { regions, problems } = await regionsStatus(topology, open.slice(1), definitions, { watchMs: 10 })
  t.same(regions[0], { region: 'a', reachable: false })
  t.ok(problems.includes('region a does not answer'))
})

t.test('a mirror is judged by sequences', t => {
  const judge = (home: [number, number], mirror: [number, number]) =>
    judgeMirror({
      home: { before: home[0], after: home[1] },
      mirror: { before: mirror[0], after: mirror[1] },
    })
  t.same(judge([5, 5], [5, 5]), { behind: 0, moving: false, stalled: false }, 'level')
  t.same(judge([5, 9], [5, 5]), { behind: 4, moving: false, stalled: false }, 'the events are new')
  t.same(judge([9, 9], [5, 5]), { behind: 4, moving: false, stalled: true })
  t.same(judge([9, 99], [5, 6]), { behind: 93, moving: true, stalled: false })
  t.same(judge([5, 5], [5, 6]), { behind: 0, moving: true, stalled: false }, 'asked at different moments')
  t.equal(
    comparableHeaders(
      'NATS/1.0\r\nNats-Msg-Id: a\r\nNats-Expected-Last-Sequence: 4\r\nNats-Batch-Id: b\r\nConfab-Seq: 1\r\n\r\n',
    ),
    'Nats-Msg-Id: a\r\nConfab-Seq: 1',
  )
  t.end()
})
