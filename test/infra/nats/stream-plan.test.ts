import { type JetStreamManager, jetstream, type StreamConfig } from '@nats-io/jetstream'
import t from 'tap'
import { forecastOf, growthOf } from '../../../src/infra/nats/log/stream-growth.ts'
import { streamsStatus } from '../../../src/infra/nats/log/stream-status.ts'
import {
  type Applied,
  applyStreams,
  loadStreams,
  openManager,
  planStreams,
} from '../../../src/infra/nats/log/streams.ts'
import { startNats } from '../../harness/nats.ts'

const change = async (manager: JetStreamManager, stream: string, settings: Partial<StreamConfig>) => {
  const { config } = await manager.streams.info(stream)
  await manager.streams.update(stream, { ...config, ...settings } as StreamConfig)
}

t.test('the plan is what apply does', async t => {
  const nats = await startNats(t, { streams: false })
  const { connection } = await nats.connect()
  const definitions = loadStreams()
  const { changes } = await planStreams(connection, definitions)
  t.same(
    changes,
    definitions.map(({ name }) => ({ stream: name, field: 'name', to: name, destructive: false })),
  )
  t.same(
    (await applyStreams(connection, definitions)).map(({ outcome }) => outcome),
    definitions.map(() => 'created'),
  )
  t.same(await planStreams(connection, definitions), { changes: [], kept: [] })

  const manager = await openManager(connection)
  await change(manager, 'CONV_0', { max_msg_size: 1_000, description: 'by hand' })
  await change(manager, 'USER_0', { allow_msg_ttl: true })
  const planned = await planStreams(connection, definitions)
  t.match(planned.changes, [
    { stream: 'CONV_0', field: 'description', from: 'by hand', destructive: false },
    { stream: 'CONV_0', field: 'max_msg_size', from: 1_000, to: 262_144, destructive: false },
  ])
  t.same(planned.kept, ['allow_msg_ttl of USER_0'])
  const applied = await applyStreams(connection, definitions)
  t.same(
    applied.flatMap(({ stream, changed }) => changed.map(field => `${stream} ${field}`)),
    planned.changes.map(({ stream, field }) => `${stream} ${field}`),
  )
})

/** Settings of SNAPSHOTS, and definitions of it that would remove stored messages. */
const losses: readonly [setting: keyof StreamConfig, now: unknown, defined: unknown][] = [
  ['max_msgs', -1, 2],
  ['max_msgs', 100, 2],
  ['max_bytes', -1, 10_000],
  ['max_age', 0, 3_600e9],
  ['max_age', 7_200e9, 3_600e9],
  ['max_msgs_per_subject', 5, 1],
]

t.test('a change that loses messages is refused, unless the stream is named', async t => {
  const nats = await startNats(t)
  const { connection } = await nats.connect()
  const manager = await openManager(connection)
  const js = jetstream(connection)
  for (const [setting, now, defined] of losses) {
    const message = `${setting} ${now} to ${defined}`
    await manager.streams.purge('SNAPSHOTS')
    await change(manager, 'SNAPSHOTS', { max_msgs: -1, max_bytes: -1, max_age: 0, [setting]: now })
    const definitions = loadStreams().map(one =>
      one.name === 'SNAPSHOTS'
        ? { ...one, [setting]: defined }
        : one.name === 'CONV_0'
          ? { ...one, description: message }
          : one,
    )
    const destructive = async () =>
      (await planStreams(connection, definitions)).changes.find(({ field }) => field === setting)?.destructive
    t.equal(await destructive(), false, `${message}: the stream is empty`)
    for (let n = 0; n < 3; n++) await js.publish(`snap.conv.${n}`, 'x'.repeat(5_000))
    t.equal(await destructive(), true, message)
    await t.rejects(applyStreams(connection, definitions), {
      code: 'WOULD_LOSE_DATA',
      message: `SNAPSHOTS holds messages that the defined ${setting} would remove: correct the definition, or accept the loss with --allow-loss SNAPSHOTS`,
    })
    t.equal((await manager.streams.info('SNAPSHOTS')).state.messages, 3, `${message}: nothing is lost`)
    t.not((await manager.streams.info('CONV_0')).config.description, message, 'no other stream is changed')
    await t.rejects(applyStreams(connection, definitions, { allowLoss: new Set(['CONV_0']) }), {
      code: 'WOULD_LOSE_DATA',
    })
    const applied = await applyStreams(connection, definitions, { allowLoss: new Set(['SNAPSHOTS']) })
    t.same(
      applied.flatMap(({ stream, outcome }) => (outcome === 'unchanged' ? [] : [stream])),
      ['CONV_0', 'SNAPSHOTS'],
    )
  }
  const raised = loadStreams().map(one => (one.name === 'SNAPSHOTS' ? { ...one, max_bytes: 20_000 } : one))
  await change(manager, 'SNAPSHOTS', { max_bytes: 10_000 })
  t.match(
    (await planStreams(connection, raised)).changes.find(({ field }) => field === 'max_bytes'),
    { destructive: false },
    'a higher limit removes nothing',
  )
})

t.test('the growth of a stream, and the limit that it reaches first', async t => {
  const nats = await startNats(t)
  const { connection } = await nats.connect()
  const manager = await openManager(connection)
  const growth = async () => growthOf(connection, await manager.streams.info('CONV_0'))
  t.same(await growth(), { perSecond: 0, messagesPerDay: 0, bytesPerDay: 0 }, 'an empty stream')
  const js = jetstream(connection)
  for (let n = 0; n < 120; n++) await js.publish(`conv.0.c${n}`, 'text')
  const measured = await growth()
  t.equal(measured?.perSecond, 2, '120 messages in the last minute')
  const perDay = 120 * 24 * 60
  t.ok(
    Math.abs((measured?.messagesPerDay ?? 0) - perDay) < perDay / 10,
    `${measured?.messagesPerDay} per day`,
  )
  await change(manager, 'CONV_0', { max_msgs: 120 + 10 * perDay })
  const statuses = await streamsStatus({ connection }, loadStreams())
  const [conv, letters] = ['CONV_0', 'DEAD_LETTERS'].map(name =>
    statuses.find(({ stream }) => stream === name),
  )
  t.match(conv, { stream: 'CONV_0', rate: 2, forecast: { limit: 'max_msgs' } })
  t.ok(Math.abs((conv?.forecast?.days ?? 0) - 10) < 1, `${conv?.forecast?.days} days`)
  t.match(letters, { stream: 'DEAD_LETTERS', rate: 0 })
  t.notOk('forecast' in (letters ?? {}), 'a stream that does not grow reaches no limit')
})

t.test('forecasts', t => {
  const info = (config: object, messages = 100, bytes = 1_000) =>
    ({
      config: { discard: 'new', max_msgs: -1, max_bytes: -1, ...config },
      state: { messages, bytes },
    }) as never
  const grows = { messagesPerDay: 10, bytesPerDay: 100 }
  const account = { free: 500, size: 1_000 }
  t.equal(forecastOf(info({}), grows, undefined), undefined, 'no limit')
  t.same(forecastOf(info({ max_msgs: 150 }), grows, undefined), { limit: 'max_msgs', days: 5 })
  t.same(forecastOf(info({ max_msgs: 150, max_bytes: 1_100 }), grows, undefined), {
    limit: 'max_bytes',
    days: 1,
  })
  t.same(forecastOf(info({ max_msgs: 90 }), grows, undefined), { limit: 'max_msgs', days: 0 }, 'already full')
  t.equal(
    forecastOf(info({ max_msgs: 150, discard: 'old' }), grows, undefined),
    undefined,
    'drops its oldest',
  )
  t.same(forecastOf(info({ max_msgs: 150, discard: 'old' }), grows, { account, bytesPerDay: 250 }), {
    limit: 'storage',
    days: 2,
  })
  t.equal(
    forecastOf(info({ max_msgs: 150 }), { messagesPerDay: 0, bytesPerDay: 0 }, { account, bytesPerDay: 0 }),
    undefined,
    'does not grow',
  )
  t.end()
})

t.test(
  'missing streams are created before a loss is refused, and changes before a failure are reported',
  async t => {
    const nats = await startNats(t)
    const { connection } = await nats.connect()
    const manager = await openManager(connection)
    await jetstream(connection).publish('snap.conv.a', 'x')
    await jetstream(connection).publish('snap.conv.b', 'x')
    await manager.streams.delete('AUDIT')
    const outcomes: string[] = []
    const onApplied = ({ stream, outcome }: Applied) => outcomes.push(`${stream} ${outcome}`)
    const losing = loadStreams().map(one => (one.name === 'SNAPSHOTS' ? { ...one, max_msgs: 1 } : one))
    await t.rejects(applyStreams(connection, losing, { onApplied }), { code: 'WOULD_LOSE_DATA' })
    t.same(outcomes, ['AUDIT created'])
    t.equal((await manager.streams.info('SNAPSHOTS')).state.messages, 2)

    outcomes.length = 0
    const impossible = loadStreams().map(one =>
      one.name === 'CONV_0'
        ? { ...one, description: 'changed' }
        : one.name === 'USER_0'
          ? { ...one, storage: 'memory' as const }
          : one,
    )
    await t.rejects(applyStreams(connection, impossible, { onApplied }), {
      code: 'NATS_STREAMS',
      message: /^stream USER_0: storage cannot be set as defined/,
    })
    t.same(
      outcomes.filter(text => !text.endsWith('unchanged')),
      ['CONV_0 updated'],
    )
  },
)
