import { setTimeout as sleep } from 'node:timers/promises'
import { jetstreamManager } from '@nats-io/jetstream'
import t, { type Test } from 'tap'
import { openNatsLeases } from '../../src/infra/nats/index.ts'
import { type LeaseTable, type LeaseTimings, startStreamLeases } from '../../src/projections/index.ts'
import type { TestNats } from '../harness/nats.ts'
import { startCluster } from '../harness/nats-cluster.ts'
import { startWithStreams, streams, until } from './lease-streams.ts'
import { quiet } from './run-to-end.ts'

/** Workers in this process, each with a connection that can be cut. Their assignments are recorded in order. */
const team = async (t: Test, nats: TestNats, timings: LeaseTimings = {}) => {
  const told: { worker: string; streams: readonly string[]; at: number }[] = []
  /** `beforeStart`: called once it can reach the leases. */
  const join = async (worker: string, beforeStart: () => unknown = () => {}) => {
    const proxy = await nats.proxy()
    const store = await openNatsLeases(await nats.connect(proxy.url))
    await beforeStart()
    const leases = await startStreamLeases({
      store,
      worker,
      group: 'views',
      streams: () => streams,
      onChange: async streams => {
        await sleep(20)
        told.push({ worker, streams, at: performance.now() })
      },
      log: quiet,
      timings,
    })
    t.teardown(async () => leases.stop())
    const held = () => told.findLast(one => one.worker === worker)?.streams ?? []
    return { worker, ...leases, held, proxy }
  }
  return { told, join }
}

type Member = Awaited<ReturnType<Awaited<ReturnType<typeof team>>['join']>>

const areShared = (members: readonly Member[]): boolean => {
  const counts = members.map(({ held }) => held().length)
  const all = members.flatMap(({ held }) => held())
  return (
    new Set(all).size === streams.length &&
    all.length === streams.length &&
    Math.max(...counts) - Math.min(...counts) <= 1
  )
}

t.test(
  'workers share the streams; a new worker gets its share, a stopping one releases its streams at once',
  async t => {
    const nats = await startWithStreams(t)
    const { told, join } = await team(t, nats)
    const first = await join('a')
    await until(() => areShared([first]))
    const [second, third] = [await join('b'), await join('c')]
    await until(() => areShared([first, second, third]))
    t.same([first, second, third].map(({ held }) => held().length).sort(), [2, 2, 3])

    // A worker that gives up a stream has stopped using it before another one is assigned it.
    const having = new Map<string, string>()
    for (const { worker, streams: has } of told) {
      for (const [stream, owner] of having)
        if (owner === worker && !has.includes(stream)) having.delete(stream)
      for (const stream of has) {
        t.ok([undefined, worker].includes(having.get(stream)), `${stream} has one worker`)
        having.set(stream, worker)
      }
    }
    const before = performance.now()
    await second.stop()
    t.same(second.held(), [])
    await until(() => areShared([first, third]))
    t.comment(`after a stop: ${Math.round(performance.now() - before)} ms`)
    const manager = await jetstreamManager((await nats.connect()).connection)
    const { table } = await (await openNatsLeases(await nats.connect())).read('views')
    t.same(Object.keys(table.beats).sort(), ['a', 'c'])
    const { config } = await manager.streams.info('KV_confab-leases')
    t.match(config, { storage: 'memory', num_replicas: 1, allow_direct: false })
  },
)

t.test('a disconnected worker releases its streams, and others take over', async t => {
  const nats = await startWithStreams(t)
  const { told, join } = await team(t, nats)
  const members = await Promise.all(['a', 'b', 'c'].map(worker => join(worker)))
  await until(() => areShared(members))
  const [lost, ...others] = members as [Member, Member, Member]
  const had = lost.held()
  const from = told.length
  const cutAt = performance.now()
  lost.proxy.block(true)
  await until(() => areShared(others))
  const taken = performance.now() - cutAt
  await until(() => told.slice(from).some(({ worker, streams }) => worker === 'a' && streams.length === 0))
  const letGo = told[from]
  t.comment(
    `released after ${Math.round((letGo?.at ?? 0) - cutAt)} ms, taken over after ${Math.round(taken)} ms`,
  )
  t.ok(taken < 15_000, 'in time')
  t.match(letGo, { worker: 'a', streams: [] }, 'it released them before others were assigned them')
  t.ok(had.every(stream => others.some(({ held }) => held().includes(stream))))

  lost.proxy.block(false)
  await until(() => areShared(members))
  t.pass('it has its part again')
})

t.test('the leases survive NATS, with the same workers', async t => {
  const nats = await startWithStreams(t)
  // Also on a slow machine: all are back before any worker takes another's stream.
  const { told, join } = await team(t, nats, { lapseMs: 8_000, settleMs: 4_000 })
  const members = await Promise.all(['a', 'b', 'c'].map(worker => join(worker)))
  await until(() => areShared(members))
  const before = members.map(({ held }) => held())
  const from = told.length
  await nats.kill9()
  await nats.restart()
  const store = await openNatsLeases(await nats.connect())
  const isThere = ({ beats }: LeaseTable) => Object.keys(beats).length === 3
  await until(async () => isThere((await store.read('views')).table))
  await sleep(1_000)
  t.same(
    members.map(({ held }) => held()),
    before,
  )
  t.same(told.slice(from), [], 'a short outage costs nothing, although the leases were in memory')

  await nats.kill9()
  await until(() => members.every(({ held }) => held().length === 0))
  await nats.restart()
  await until(() => areShared(members))
  t.pass('all released their streams and took them again')
})

t.test('an unreachable database is retried; a fenced stream is claimed again', async t => {
  const nats = await startWithStreams(t)
  const calls: number[] = []
  let following: readonly string[] = []
  let isDown = true
  const leases = await startStreamLeases({
    store: await openNatsLeases(await nats.connect()),
    worker: 'a',
    group: 'views',
    streams: () => streams,
    onChange: async streams => {
      calls.push(performance.now())
      if (isDown) throw new Error('down')
      following = streams
    },
    following: () => following,
    log: quiet,
  })
  t.teardown(async () => leases.stop())
  await until(() => calls.length === 3)
  t.ok((calls[2] ?? 0) - (calls[0] ?? 0) > 500, 'not in a tight loop')
  isDown = false
  await until(() => following.length === streams.length)
  const after = calls.length
  following = streams.slice(1)
  await until(() => following.length === streams.length)
  t.equal(calls.length, after + 1)
})

t.test('NATS is unreachable when a worker starts: it takes its streams later', async t => {
  const nats = await startWithStreams(t)
  const { join } = await team(t, nats)
  const worker = await join('a', () => nats.kill9())
  t.same(worker.held(), [])
  await nats.restart()
  await until(() => areShared([worker]))
  t.equal(worker.held().length, streams.length)
})

t.test('of several concurrent replacements of a table, one succeeds', async t => {
  const nats = await startWithStreams(t)
  const stores = await Promise.all([1, 2, 3].map(async () => openNatsLeases(await nats.connect())))
  for (let revision = 0, round = 1; round <= 20; round++) {
    const done = await Promise.all(
      stores.map((store, i) => store.replace('g', { beats: { [i]: round }, owners: {} }, revision)),
    )
    t.same(done.filter(Boolean), [true])
    const [read, ...more] = await Promise.all(stores.map(store => store.read('g')))
    t.same(read?.table.beats, { [done.indexOf(true)]: round })
    for (const other of more) t.same(other, read)
    revision = read?.revision ?? 0
  }
  t.same((await stores[0]?.read('h'))?.revision, 0)
})

t.test('on a cluster, each server is killed in turn', async t => {
  const cluster = await startCluster(t)
  const connect = async () => openNatsLeases(await cluster.connect(cluster.urls.join(',')))
  const held = new Map<string, readonly string[]>()
  let changes = 0
  for (const worker of ['a', 'b']) {
    const leases = await startStreamLeases({
      store: await connect(),
      worker,
      group: 'views',
      streams: () => streams,
      onChange: async streams => {
        changes++
        held.set(worker, streams)
      },
      log: quiet,
    })
    t.teardown(async () => leases.stop())
  }
  const isShared = () => {
    const all = [...held.values()].flat()
    return (
      all.length === streams.length &&
      new Set(all).size === streams.length &&
      [...held.values()].every(one => one.length >= 3)
    )
  }
  await until(isShared)
  const manager = await jetstreamManager((await cluster.connect(cluster.urls.join(','))).connection)
  const info = async () => manager.streams.info('KV_confab-leases')
  t.equal((await info()).config.num_replicas, 3, 'as many as there are dead letters')
  const store = await connect()
  for (const index of [0, 1, 2]) {
    changes = 0
    const before = performance.now()
    await cluster.kill9(index)
    // A heartbeat that was stored after the server was gone.
    const beats = async () => (await store.read('views').catch(() => undefined))?.table.beats
    const first = await beats()
    await until(async () => {
      const now = await beats()
      return now !== undefined && ['a', 'b'].every(worker => (now[worker] ?? 0) > (first?.[worker] ?? 0))
    })
    t.comment(`beats again after ${Math.round(performance.now() - before)} ms, ${changes} changes`)
    await until(isShared)
    await cluster.restart(index)
    await until(
      async () =>
        (await info().catch(() => undefined))?.cluster?.replicas?.every(({ current }) => current) ?? false,
    )
  }
  t.pass('the streams are shared')
})
