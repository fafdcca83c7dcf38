import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { startViewWorker } from '../../src/app/view-worker.ts'
import { openNatsLeases } from '../../src/infra/nats/index.ts'
import { openSqliteStores } from '../../src/infra/sqlite/index.ts'
import { defaultProjectionSettings } from '../../src/projections/index.ts'
import { tempFolder } from '../harness/temp-folder.ts'
import { historyOf, stepsOf } from './history.ts'
import { startWithStreams, streams, until } from './lease-streams.ts'
import { memoryPlans } from './memory-plans.ts'
import { MemorySource } from './memory-source.ts'
import { quiet } from './run-to-end.ts'

t.test('a worker whose streams cannot be claimed says that its views fail, and why', async t => {
  const nats = await startWithStreams(t)
  const stores = openSqliteStores(join(tempFolder(t), 'views.db'))
  let isAway = false
  const checkpoints = {
    load: () => stores.checkpoints.load(),
    save: stores.checkpoints.save.bind(stores.checkpoints),
    remove: stores.checkpoints.remove.bind(stores.checkpoints),
    claim: (stream: string) =>
      isAway ? Promise.reject(new Error('the database is away')) : stores.checkpoints.claim(stream),
  }
  const start = async (name: string) => {
    const worker = await startViewWorker(
      {
        name: 'views',
        projections: stores.projections,
        isShared: true,
        open: async () => ({ ...stores, checkpoints, close: async () => {} }),
      },
      {
        worker: name,
        source: new MemorySource(Object.fromEntries(streams.map(stream => [stream, []]))),
        streams: () => streams,
        plans: memoryPlans(),
        leases: await openNatsLeases(await nats.connect()),
        deadLetters: { publish: async () => {} },
        settings: defaultProjectionSettings,
        log: quiet,
      },
    )
    t.teardown(() => worker.stop())
    const states = () => [...new Set(worker.status().map(({ state }) => state))]
    const count = () => Math.min(...worker.status().map(({ streams }) => streams.length))
    return { ...worker, states, count }
  }
  t.teardown(() => stores.close())

  const first = await start('first')
  await until(() => first.count() === streams.length)
  t.same(first.states(), ['live'])

  isAway = true
  const second = await start('second')
  await until(() => second.states().includes('failing'))
  t.same(second.states(), ['failing'])
  for (const { reason } of second.status()) t.equal(reason, 'the database is away')
  t.same(first.states(), ['live'], 'the views of the other database continue')

  isAway = false
  await until(() => second.states().join() === 'live' && second.count() > 0)
  t.equal(first.count() + second.count(), streams.length)
  for (const { reason } of second.status()) t.equal(reason, undefined)
})

t.test('a stream that another worker has claimed does not make a worker look stopped', async t => {
  const nats = await startWithStreams(t)
  const history = historyOf(fc.sample(stepsOf(200, 200), { numRuns: 1, seed: 7 })[0] ?? [])
  const [stream = '', events = []] = Object.entries(history)[0] ?? []
  const source = new MemorySource({ [stream]: events.slice(0, 5) })
  const stores = openSqliteStores(join(tempFolder(t), 'views.db'))
  t.teardown(() => stores.close())
  let gate: Promise<void> | undefined
  const checkpoints = {
    load: () => stores.checkpoints.load(),
    save: stores.checkpoints.save.bind(stores.checkpoints),
    remove: stores.checkpoints.remove.bind(stores.checkpoints),
    claim: async (stream: string) => {
      await gate
      return stores.checkpoints.claim(stream)
    },
  }
  const worker = await startViewWorker(
    {
      name: 'views',
      projections: stores.projections,
      isShared: true,
      open: async () => ({ ...stores, checkpoints, close: async () => {} }),
    },
    {
      worker: 'one',
      source,
      streams: () => [stream],
      plans: memoryPlans(),
      leases: await openNatsLeases(await nats.connect()),
      deadLetters: { publish: async () => {} },
      settings: defaultProjectionSettings,
      log: quiet,
    },
  )
  t.teardown(() => worker.stop())
  const isLevel = (head: number) =>
    worker.status().length > 0 &&
    worker.status().every(({ streams }) => streams.some(({ position }) => position === head))
  await until(() => isLevel(events[4]?.streamSeq ?? 0))

  const { promise, resolve } = Promise.withResolvers<void>()
  gate = promise
  await stores.checkpoints.claim(stream)
  source.push(...events.slice(5, 10))
  await until(() => worker.supervisor()?.streams().length === 0)
  for (const { state, streams } of worker.status()) {
    t.not(state, 'stopped')
    t.same(streams, [])
  }
  gate = undefined
  resolve()
  await until(() => isLevel(events[9]?.streamSeq ?? 0))
  for (const { state } of worker.status()) t.equal(state, 'live', 'it has claimed the stream again')
})
