import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { jetstreamManager } from '@nats-io/jetstream'
import t, { type Test } from 'tap'
import {
  discoverLog,
  JetStreamEventLog,
  NatsEventSource,
  openNatsLeases,
} from '../../src/infra/nats/index.ts'
import { openSqliteStores } from '../../src/infra/sqlite/index.ts'
import {
  type LeaseTable,
  type LeaseTimings,
  ProjectionRunner,
  startStreamLeases,
  type ViewStores,
} from '../../src/projections/index.ts'
import { startNats, type TestNats } from '../harness/nats.ts'
import { startCluster } from '../harness/nats-cluster.ts'
import { tempFolder } from '../harness/temp-folder.ts'
import { chatterOn } from './chatter.ts'
import { quiet, runToEnd } from './run-to-end.ts'

const streams = ['CONV_0', 'CONV_1', 'CONV_2', 'CONV_3', 'USER_0', 'USER_1', 'USER_2']

const start = async (t: Test): Promise<TestNats> => {
  const nats = await startNats(t, { streams: false })
  await nats.applyStreams({ conv: 4, user: 3 })
  return nats
}

const until = async (isSo: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await isSo())) await sleep(10)
}

/** Workers in this process, each with a way to NATS that can be cut. What they are told is kept in order. */
const team = async (t: Test, nats: TestNats, timings: LeaseTimings = {}) => {
  const told: { worker: string; streams: readonly string[]; at: number }[] = []
  const join = async (worker: string) => {
    const proxy = await nats.proxy()
    const leases = await startStreamLeases({
      store: await openNatsLeases(await nats.connect(proxy.url)),
      worker,
      group: 'views',
      streams,
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

t.test('workers share the streams, who joins gets its part, who stops gives its up at once', async t => {
  const nats = await start(t)
  const { told, join } = await team(t, nats)
  const first = await join('a')
  await until(() => areShared([first]))
  const [second, third] = [await join('b'), await join('c')]
  await until(() => areShared([first, second, third]))
  t.same([first, second, third].map(({ held }) => held().length).sort(), [2, 2, 3])

  // Whoever gives a stream up has let go of it before another is told of it.
  const having = new Map<string, string>()
  for (const { worker, streams: has } of told) {
    for (const [stream, owner] of having) if (owner === worker && !has.includes(stream)) having.delete(stream)
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
})

t.test('a worker that is cut off lets go by itself, and others take over', async t => {
  const nats = await start(t)
  const { told, join } = await team(t, nats)
  const members = await Promise.all(['a', 'b', 'c'].map(join))
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
    `let go after ${Math.round((letGo?.at ?? 0) - cutAt)} ms, taken over after ${Math.round(taken)} ms`,
  )
  t.ok(taken < 15_000, 'in time')
  t.match(letGo, { worker: 'a', streams: [] }, 'it let go before others were told')
  t.ok(had.every(stream => others.some(({ held }) => held().includes(stream))))

  lost.proxy.block(false)
  await until(() => areShared(members))
  t.pass('it has its part again')
})

t.test('the leases outlive NATS, with the same workers', async t => {
  const nats = await start(t)
  // However slow the machine: all are back before anybody takes what another had.
  const { told, join } = await team(t, nats, { lapseMs: 8_000, settleMs: 4_000 })
  const members = await Promise.all(['a', 'b', 'c'].map(join))
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
  t.same(told.slice(from), [], 'a short absence costs nothing, though the servers had the leases in memory')

  await nats.kill9()
  await until(() => members.every(({ held }) => held().length === 0))
  await nats.restart()
  await until(() => areShared(members))
  t.pass('all let go, and came back')
})

t.test('a database that can not be reached is tried again; what was fenced off is claimed again', async t => {
  const nats = await start(t)
  const calls: number[] = []
  let following: readonly string[] = []
  let isDown = true
  const leases = await startStreamLeases({
    store: await openNatsLeases(await nats.connect()),
    worker: 'a',
    group: 'views',
    streams,
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

t.test('of several that replace a table at once, one does', async t => {
  const nats = await start(t)
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
      streams,
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
  t.equal((await info()).config.num_replicas, 3, 'as many as the dead letters have')
  const store = await connect()
  for (const index of [0, 1, 2]) {
    changes = 0
    const before = performance.now()
    await cluster.kill9(index)
    // A beat that was stored after the server was gone.
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

interface Line {
  what: string
  streams?: readonly string[]
  message?: string
  stream?: string
}

/** A worker process; what it said is in `lines`. */
const spawnWorker = (t: Test, nats: TestNats, worker: string, file: string, lapseMs?: number) => {
  const script = new URL('lease-worker.ts', import.meta.url).pathname
  const args = [script, nats.url, worker, file, ...(lapseMs === undefined ? [] : [String(lapseMs)])]
  const child: ChildProcess = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const exit = new Promise<void>(resolve => child.once('exit', () => resolve()))
  const lines: Line[] = []
  if (child.stdout !== null)
    createInterface(child.stdout).on('line', line => lines.push(JSON.parse(line) as Line))
  const signal = (name: NodeJS.Signals) => void child.kill(name)
  t.teardown(async () => {
    signal('SIGCONT')
    signal('SIGKILL')
    await exit
  })
  return {
    lines,
    signal,
    exit,
    held: () => lines.findLast(({ what }) => what === 'follows')?.streams ?? [],
  }
}

/** All rows of all views, sorted. */
const rowsOf = async (stores: ViewStores): Promise<string[]> => {
  const rows: string[] = []
  for (const projection of stores.projections)
    for await (const some of (await stores.open(projection, 1)).rows())
      for (const { c, content } of some) rows.push(`${projection} ${c} ${content}`)
  return rows.sort()
}

/** A log that grows, a database that workers share, and what a fresh replay makes of the log. */
const scene = async (t: Test) => {
  const nats = await start(t)
  const connection = await nats.connect()
  const layout = await discoverLog(connection.connection)
  const log = new JetStreamEventLog(connection, layout)
  const source = new NatsEventSource(connection, layout)
  const folder = tempFolder(t)
  const file = join(folder, 'views.db')
  const stores = openSqliteStores(file)
  t.teardown(async () => {
    source.close()
    log.close()
    await stores.close()
  })
  const isLevel = async (): Promise<boolean> => {
    const at = await stores.checkpoints.load()
    return (await source.streams()).every(({ stream, last }) =>
      stores.projections.every(
        projection =>
          last === 0 ||
          at.some(one => one.projection === projection && one.stream === stream && one.streamSeq === last),
      ),
    )
  }
  const expectReplay = async (): Promise<void> => {
    await until(isLevel)
    const fresh = openSqliteStores(join(folder, 'fresh.db'))
    await runToEnd(new ProjectionRunner({ source, stores: fresh, log: quiet }), source)
    const wanted = await rowsOf(fresh)
    await fresh.close()
    t.ok(wanted.length > 100, `${wanted.length} rows`)
    t.strictSame(await rowsOf(stores), wanted, 'the views equal a fresh replay')
  }
  return { nats, file, stores, chat: chatterOn(log, 40), isLevel, expectReplay }
}

t.test(
  'workers that are killed and stopped in the middle of a load: others go on, the views are right',
  async t => {
    const { nats, file, stores, chat, isLevel, expectReplay } = await scene(t)
    const workers = ['a', 'b', 'c'].map(name => spawnWorker(t, nats, name, file))
    const [killed, stopped, last] = workers as [(typeof workers)[0], (typeof workers)[0], (typeof workers)[0]]
    const haveAll = (some: typeof workers) => () =>
      streams.every(stream => some.some(({ held }) => held().includes(stream)))
    let isLoading = true
    const load = (async () => {
      while (isLoading) await chat()
    })()
    const areEven = () => workers.every(({ held }) => held().length >= 2 && held().length <= 3)
    await until(() => haveAll(workers)() && areEven())

    let since = performance.now()
    killed.signal('SIGKILL')
    await killed.exit
    await until(haveAll([stopped, last]))
    t.comment(`killed: taken over after ${Math.round(performance.now() - since)} ms`)
    t.ok(performance.now() - since < 15_000)

    isLoading = false
    await load
    // A process that is stopped within a transaction would keep SQLite's lock.
    await until(isLevel)
    const had = stopped.held()
    since = performance.now()
    stopped.signal('SIGSTOP')
    await chat(3)
    await until(haveAll([last]))
    t.comment(`stopped: taken over after ${Math.round(performance.now() - since)} ms`)
    t.ok(performance.now() - since < 15_000)
    await until(isLevel)
    t.ok(had.length > 0)

    stopped.signal('SIGCONT')
    await chat(3)
    await until(() => [stopped, last].every(({ held }) => [3, 4].includes(held().length)))
    await chat(3)
    await expectReplay()
    t.ok((await stores.checkpoints.load()).length > 0)

    stopped.signal('SIGTERM')
    await stopped.exit
    t.equal(stopped.lines.at(-1)?.what, 'stopped')
  },
)

t.test('a worker whose clock stands still writes no more: the fence keeps it out', async t => {
  const { nats, file, chat, isLevel, expectReplay } = await scene(t)
  await chat(5)
  // It would let go after an hour.
  const zombie = spawnWorker(t, nats, 'zombie', file, 3_600_000)
  await until(() => zombie.held().length === streams.length)
  await until(isLevel)
  zombie.signal('SIGSTOP')
  const heir = spawnWorker(t, nats, 'heir', file)
  await until(() => heir.held().length === streams.length)
  await chat(5)
  await until(isLevel)
  zombie.signal('SIGCONT')
  await chat(5)
  const refused = () =>
    zombie.lines.filter(({ message }) => message?.startsWith('another worker has taken over'))
  await until(() => refused().length > 0)
  t.pass(`its saves were refused: ${refused().map(({ stream }) => stream)}`)
  await until(
    () =>
      zombie.held().length > 0 &&
      zombie.held().length < streams.length &&
      heir.held().length < streams.length,
  )
  await chat(5)
  await expectReplay()
})
