import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { partitionCount, streamOfPartition } from '../../../src/events/index.ts'
import { discoverLog, JetStreamEventLog } from '../../../src/infra/nats/index.ts'
import {
  applyStreams,
  checkApiLevel,
  loadStreams,
  openManager,
  streamsStatus,
} from '../../../src/infra/nats/log/streams.ts'
import { conversation, newEvent } from '../../contracts/new-events.ts'
import { startNats } from '../../harness/nats.ts'

t.test('streams are created, then left alone, then updated', async t => {
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

t.test('several that apply at once agree', async t => {
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

t.test('what is missing or was changed by hand is told, and mended', async t => {
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

t.test('streams that hold events are not given other buckets', async t => {
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

t.test('a server that is too old is refused, with both versions named', async t => {
  t.doesNotThrow(() => checkApiLevel(5, '2.15.2'))
  t.doesNotThrow(() => checkApiLevel(6, '2.16.0'))
  t.throws(() => checkApiLevel(2, '2.12.1'), {
    code: 'NATS_SERVER_TOO_OLD',
    message: /2\.12\.1.*level 2.*2\.15/,
  })
  t.throws(() => checkApiLevel(undefined, '2.9.10'), { code: 'NATS_SERVER_TOO_OLD' })
})

t.test('definitions that make no sense are refused by file', async t => {
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
