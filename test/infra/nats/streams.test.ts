import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { partitionCount, type StoredEvent, streamOfPartition } from '../../../src/events/index.ts'
import {
  discoverLog,
  JetStreamEventLog,
  type LogLayout,
  type Nats,
  NatsDeadLetters,
  readDeadLetters,
  removeDeadLetter,
} from '../../../src/infra/nats/index.ts'
import {
  applyStreams,
  checkApiLevel,
  loadStreams,
  openManager,
  streamsStatus,
} from '../../../src/infra/nats/log/streams.ts'
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
  const names = ['CONV_0', 'DEAD_LETTERS', 'SNAPSHOTS', 'USER_0']
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
  const status = await streamsStatus(connection, definitions)
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
  t.ok((await streamsStatus(connection, loadStreams())).every(({ drift }) => drift.length === 0))
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
      (await streamsStatus(connection, loadStreams())).map(({ stream, drift }) => [stream, drift]),
    )
  t.same(await drifts(), {
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

t.test('streams with events do not get other partitions', async t => {
  const nats = await startNats(t)
  const connected = await nats.connect()
  t.ok(await nats.applyStreams(), 'as they are')
  const log = new JetStreamEventLog(connected, await discoverLog(connected.connection))
  t.teardown(() => log.close())
  await log.append(conversation(), 0, [newEvent(1)])
  await t.rejects(nats.applyStreams({ conv: 2 }), { code: 'NATS_STREAMS', message: /must be moved first/ })
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
    (await streamsStatus(connection, loadStreams()))
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
    ['updated', 'updated', 'updated', 'updated'],
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
  const [first] = loadStreams()
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
