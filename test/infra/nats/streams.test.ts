import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { jetstream, type StreamConfig } from '@nats-io/jetstream'
import { headers } from '@nats-io/transport-node'
import t from 'tap'
import { partitionCount, type StoredEvent, streamOfPartition, subjectOf } from '../../../src/events/index.ts'
import {
  discoverLog,
  JetStreamEventLog,
  type LogLayout,
  type Nats,
  NatsDeadLetters,
  readDeadLetters,
  removeDeadLetter,
} from '../../../src/infra/nats/index.ts'
import { streamsStatus } from '../../../src/infra/nats/log/stream-status.ts'
import { applyStreams, checkApiLevel, loadStreams, openManager } from '../../../src/infra/nats/log/streams.ts'
import { conversation, newEvent } from '../../contracts/new-events.ts'
import { startNats } from '../../harness/nats.ts'

const collect = async <T>(items: AsyncIterable<T>): Promise<T[]> => {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

/** Appends two events and returns them as the log has them. */
const append = async (connected: Nats, layout: LogLayout): Promise<StoredEvent[]> => {
  const log = new JetStreamEventLog(connected, layout)
  const aggregate = conversation('mirrored')
  const { position } = await log.append(aggregate, 0, [newEvent(1)])
  await log.append(aggregate, position.streamSeq, [newEvent(2)])
  const events = (await collect(log.read(aggregate, 0))).flat()
  log.close()
  return events
}

t.test('streams are created, then unchanged, then updated', async t => {
  const nats = await startNats(t, { streams: false })
  const { connection } = await nats.connect()
  const definitions = loadStreams()
  const names = ['AUDIT', 'CONV_0', 'DEAD_LETTERS', 'SNAPSHOTS', 'USER_0']
  const first = await applyStreams(connection, definitions)
  t.same(
    first.map(({ stream, outcome }) => `${stream} ${outcome}`).sort(),
    names.map(name => `${name} created`),
  )
  const second = await applyStreams(connection, definitions)
  t.same(
    second.map(({ stream, outcome }) => `${stream} ${outcome}`).sort(),
    names.map(name => `${name} unchanged`),
    `${second.map(a => a.changed)}`,
  )
  const longer = definitions.map(definition => ({ ...definition, duplicate_window: 60e9 }))
  for (const { outcome, changed } of await applyStreams(connection, longer)) {
    t.equal(outcome, 'updated')
    t.same(changed, ['duplicate_window'])
  }
  const status = await streamsStatus({ connection }, definitions)
  t.same(new Set(status.flatMap(({ drift }) => drift)), new Set(['duplicate_window']))
})

t.test('several concurrent applies agree', async t => {
  const nats = await startNats(t, { streams: false })
  const connections = await Promise.all([1, 2, 3, 4].map(() => nats.connect()))
  const applied = await Promise.all(
    connections.map(({ connection }) => applyStreams(connection, loadStreams())),
  )
  const outcomes = applied.flat().map(({ outcome }) => outcome)
  t.ok(outcomes.every(outcome => outcome !== 'updated'))
  const { connection } = await nats.connect()
  t.ok((await streamsStatus({ connection }, loadStreams())).every(({ drift }) => drift.length === 0))
})

t.test('missing and manually changed streams are reported and repaired', async t => {
  const nats = await startNats(t)
  const { connection } = await nats.connect()
  const manager = await openManager(connection)
  await manager.streams.delete('DEAD_LETTERS')
  const { config } = await manager.streams.info('CONV_0')
  await manager.streams.update('CONV_0', { ...config, max_msg_size: 1000, description: 'by hand' })
  const drifts = async () =>
    Object.fromEntries(
      (await streamsStatus({ connection }, loadStreams())).map(({ stream, drift }) => [stream, drift]),
    )
  t.same(await drifts(), {
    AUDIT: [],
    CONV_0: ['description', 'max_msg_size'],
    DEAD_LETTERS: ['missing'],
    SNAPSHOTS: [],
    USER_0: [],
  })
  const applied = await nats.applyStreams()
  t.same(
    applied.filter(({ outcome }) => outcome !== 'unchanged').map(({ stream, outcome }) => [stream, outcome]),
    [
      ['CONV_0', 'updated'],
      ['DEAD_LETTERS', 'created'],
    ],
  )
  t.ok(Object.values(await drifts()).every(drift => drift.length === 0))
})

/** A value for each safeguard that a log must not have, with what else the server asks for then. */
const unsafe: readonly Partial<StreamConfig>[] = [
  { retention: 'interest' },
  { discard: 'old' },
  { max_msgs: 1_000 },
  { max_msgs_per_subject: 5 },
  { max_msgs_per_subject: 5, discard_new_per_subject: true },
  { max_bytes: 1_000_000 },
  { max_age: 3_600e9 },
  { max_msg_size: -1 },
  { no_ack: true },
] as Partial<StreamConfig>[]

t.test(
  'every limit that can remove messages is compared and repaired, named in the definition or not',
  async t => {
    const nats = await startNats(t)
    const { connection } = await nats.connect()
    const manager = await openManager(connection)
    const drifts = async () =>
      Object.fromEntries(
        (await streamsStatus({ connection }, loadStreams())).map(({ stream, drift }) => [
          stream,
          [...drift].sort(),
        ]),
      )
    const { config } = await manager.streams.info('CONV_0')
    for (const change of unsafe) {
      for (const stream of ['CONV_0', 'USER_0']) {
        const { config } = await manager.streams.info(stream)
        await manager.streams.update(stream, { ...config, ...change })
      }
      const names = Object.keys(change).sort()
      t.match(await drifts(), { CONV_0: names, USER_0: names })
      const applied = await nats.applyStreams()
      t.same(
        applied
          .filter(({ outcome }) => outcome === 'updated')
          .map(({ stream, changed }) => [stream, [...changed].sort()]),
        [
          ['CONV_0', names],
          ['USER_0', names],
        ],
      )
      t.same((await manager.streams.info('CONV_0')).config, config)
    }
    const letters = (await manager.streams.info('DEAD_LETTERS')).config
    await manager.streams.update('DEAD_LETTERS', { ...letters, max_msgs_per_subject: 1 })
    t.same((await drifts()).DEAD_LETTERS, ['max_msgs_per_subject'], 'also in the other streams')
  },
)

t.test('what JetStream never changes back is reported, and does not prevent a start', async t => {
  const nats = await startNats(t)
  const { connection } = await nats.connect()
  const manager = await openManager(connection)
  const { config } = await manager.streams.info('CONV_0')
  await manager.streams.update('CONV_0', {
    ...config,
    allow_msg_ttl: true,
    max_msgs_per_subject: 5,
  } as StreamConfig)
  const isConv = ({ stream }: { readonly stream: string }) => stream === 'CONV_0'
  const conv = (await nats.applyStreams()).find(isConv)
  t.match(conv, { outcome: 'updated', changed: ['max_msgs_per_subject'], kept: ['allow_msg_ttl'] })
  t.match((await nats.applyStreams()).find(isConv), {
    outcome: 'unchanged',
    changed: [],
    kept: ['allow_msg_ttl'],
  })
  t.same((await streamsStatus({ connection }, loadStreams())).find(isConv)?.drift, ['allow_msg_ttl'])
})

t.test('the streams of an older version keep what makes them safer', async t => {
  const nats = await startNats(t, { streams: false })
  const { connection } = await nats.connect()
  const older = loadStreams().map(one =>
    one.name === 'CONV_0' || one.name === 'USER_0' ? { ...one, deny_delete: true, deny_purge: false } : one,
  )
  await applyStreams(connection, older)
  const applied = await nats.applyStreams()
  t.match(
    applied.find(({ stream }) => stream === 'CONV_0'),
    { outcome: 'updated', changed: ['deny_purge'] },
  )
  const manager = await openManager(connection)
  t.match((await manager.streams.info('CONV_0')).config, { deny_delete: true, deny_purge: true })
  t.ok((await nats.applyStreams()).every(({ outcome }) => outcome === 'unchanged'))
  t.ok((await streamsStatus({ connection }, loadStreams())).every(({ drift }) => drift.length === 0))
})

t.test('the log refuses purges and rollups, and ignores the lifetime in a message', async t => {
  const nats = await startNats(t)
  const connected = await nats.connect()
  const { connection } = connected
  const manager = await openManager(connection)
  const layout = await discoverLog(connection)
  await append(connected, layout)
  const subject = subjectOf(conversation('mirrored'))
  for (const stream of ['CONV_0', 'USER_0']) {
    await t.rejects(manager.streams.purge(stream), /purge not permitted/i)
    await t.rejects(manager.streams.purge(stream, { filter: subject }), /purge not permitted/i)
    const { config } = await manager.streams.info(stream)
    await t.rejects(manager.streams.update(stream, { ...config, deny_purge: false }), /cancel deny purge/i)
    await t.rejects(
      manager.streams.update(stream, { ...config, allow_rollup_hdrs: true }),
      /purge permission/i,
    )
  }
  const js = jetstream(connection)
  for (const [name, value] of [
    ['Nats-Rollup', 'sub'],
    ['Nats-Rollup', 'all'],
    ['Nats-TTL', '1s'],
  ] as const) {
    const header = headers()
    header.set(name, value)
    await t.rejects(js.publish(subject, 'x', { headers: header }), name)
  }
  t.match(await manager.streams.info('CONV_0'), { state: { messages: 2, first_seq: 1, last_seq: 2 } })
})

t.test('messages that a stream lacks are counted', async t => {
  const nats = await startNats(t)
  const connected = await nats.connect()
  const { connection } = connected
  const layout = await discoverLog(connection)
  await append(connected, layout)
  const missing = async () =>
    (await streamsStatus({ connection }, loadStreams())).map(({ stream, missing }) => [stream, missing])
  const none = [
    ['AUDIT', 0],
    ['CONV_0', 0],
    ['DEAD_LETTERS', 0],
    ['SNAPSHOTS', 0],
    ['USER_0', 0],
  ]
  t.same(await missing(), none)
  await (await openManager(connection)).streams.deleteMessage('CONV_0', 1)
  t.same(await missing(), [['AUDIT', 0], ['CONV_0', 1], ...none.slice(2)])
  const js = jetstream(connection)
  for (let n = 0; n < 3; n++) await js.publish('snap.conv.x', `${n}`)
  t.same((await missing())[3], ['SNAPSHOTS', 0], 'a cache drops messages as defined')
})

t.test('streams with events do not get other partitions', async t => {
  const nats = await startNats(t)
  const connected = await nats.connect()
  t.ok(await nats.applyStreams(), 'as they are')
  const log = new JetStreamEventLog(connected, await discoverLog(connected.connection))
  t.teardown(() => log.close())
  await log.append(conversation(), 0, [newEvent(1)])
  await t.rejects(nats.applyStreams({ conv: 2 }), {
    code: 'WOULD_LOSE_DATA',
    message: /must be moved first/,
  })
})

t.test('the layout is found by subjects', async t => {
  const nats = await startNats(t, { streams: false })
  const { connection } = await nats.connect()
  await t.rejects(discoverLog(connection), { code: 'NATS_STREAMS', message: /confab streams apply/ })
  await nats.applyStreams({ conv: 5, user: 2 })
  const layout = await discoverLog(connection)
  for (let n = 0; n < 200; n++) {
    const aggregate = conversation(`c${n}`)
    const { partitionOf } = await import('../../../src/events/index.ts')
    t.equal(layout.streamOf(aggregate), streamOfPartition('conv', partitionOf(aggregate.id), 5))
  }
  const definitions = loadStreams({ conv: 5 }).filter(({ name }) => name.startsWith('CONV_'))
  t.equal(new Set(definitions.flatMap(({ subjects }) => subjects)).size, partitionCount)
})

t.test('streams under other names are found by their subjects', async t => {
  const nats = await startNats(t, { streams: false })
  const connected = await nats.connect()
  const { connection } = connected
  const renamed = loadStreams().map(one => ({ ...one, name: `EAST_${one.name}` }))
  await applyStreams(connection, renamed)
  const names = renamed.map(({ name }) => name).sort()
  t.same(
    (await applyStreams(connection, loadStreams()))
      .map(({ stream, outcome }) => `${stream} ${outcome}`)
      .sort(),
    names.map(name => `${name} unchanged`),
  )
  t.same(
    (await streamsStatus({ connection }, loadStreams()))
      .map(({ stream, drift }) => [stream, drift.length])
      .sort(),
    names.map(name => [name, 0]),
  )
  t.same(
    (
      await applyStreams(
        connection,
        loadStreams({ replicas: 1 }).map(one => ({ ...one, description: 'mine' })),
      )
    ).map(({ outcome }) => outcome),
    loadStreams().map(() => 'updated'),
  )
  const layout = await discoverLog(connection)
  t.same(
    layout.streams.map(stream => [stream, layout.familyOf(stream)]),
    [
      ['EAST_CONV_0', 'conv'],
      ['EAST_USER_0', 'user'],
    ],
  )
  const letters = new NatsDeadLetters(connected)
  const [event] = await append(connected, layout)
  const letter = { projection: 'search', stream: event!.stream, streamSeq: 1, reason: 'no', at: '' }
  await letters.publish(letter, event!)
  const filed = await collect(readDeadLetters(connected))
  t.match(filed, [{ ...letter, sequence: 1 }])
  t.equal(await removeDeadLetter(connected, 1), true)
  t.equal(await removeDeadLetter(connected, 1), false)
})

t.test('events that a mirror hands out are those of its origin', async t => {
  const nats = await startNats(t)
  const connected = await nats.connect()
  const manager = await openManager(connected.connection)
  await manager.streams.add({
    name: 'WEST_CONV_0',
    mirror: { name: 'CONV_0' },
    allow_direct: true,
    mirror_direct: true,
    storage: 'file',
  } as Parameters<typeof manager.streams.add>[0])
  t.ok(
    (await nats.applyStreams()).every(({ outcome }) => outcome === 'unchanged'),
    'a mirror takes no subjects',
  )
  const layout = await discoverLog(connected.connection)
  t.same(layout.streams, ['CONV_0', 'USER_0'])
  const events = await append(connected, layout)
  const log = new JetStreamEventLog(connected, layout)
  t.teardown(() => log.close())
  const seen = new Set<string>()
  while ((await manager.streams.info('WEST_CONV_0')).state.messages < events.length) await sleep(10)
  for (let n = 0; n < 100; n++)
    for await (const batch of log.read(events[0]!.aggregate, 0))
      for (const { stream } of batch) seen.add(stream)
  t.same([...seen], ['CONV_0'])
})

t.test('a stream of both families is refused', async t => {
  const nats = await startNats(t, { streams: false })
  const { connection } = await nats.connect()
  const [, first] = loadStreams()
  await applyStreams(connection, [{ ...first!, name: 'ALL', subjects: ['conv.*.*', 'user.*.*'] }])
  await t.rejects(discoverLog(connection), { code: 'NATS_STREAMS', message: /ALL takes subjects of both/ })
})

t.test('a server that is too old is refused, with both versions in the error', async t => {
  t.doesNotThrow(() => checkApiLevel(5, '2.15.2'))
  t.doesNotThrow(() => checkApiLevel(6, '2.16.0'))
  t.throws(() => checkApiLevel(2, '2.12.1'), {
    code: 'NATS_SERVER_TOO_OLD',
    message: /2\.12\.1.*level 2.*2\.15/,
  })
  t.throws(() => checkApiLevel(undefined, '2.9.10'), { code: 'NATS_SERVER_TOO_OLD' })
})

t.test('invalid definitions are refused with their file', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'confab-streams-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  for (const text of [
    'config: {}',
    'family: nobody\nconfig: {}',
    'name: X\nconfig: {subjects: [x], max_age: a while}',
    'name: X\nconfig: {subjects: x}',
    '{',
  ]) {
    writeFileSync(join(folder, 'bad.yaml'), text)
    t.throws(() => loadStreams({ folder }), { code: 'NATS_STREAMS', message: /bad\.yaml/ }, text)
  }
  t.equal(
    loadStreams({ replicas: 3 }).every(definition => definition.num_replicas === 3),
    true,
  )
})
