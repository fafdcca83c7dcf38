import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import t, { type Test } from 'tap'
import { discoverLog, JetStreamEventLog, NatsEventSource } from '../../src/infra/nats/index.ts'
import { openSqliteStores } from '../../src/infra/sqlite/index.ts'
import { ProjectionRunner, type ViewStores } from '../../src/projections/index.ts'
import type { TestNats } from '../harness/nats.ts'
import { tempFolder } from '../harness/temp-folder.ts'
import { chatterOn } from './chatter.ts'
import { startWithStreams, streams, until } from './lease-streams.ts'
import { quiet, runToEnd } from './run-to-end.ts'

interface Line {
  what: string
  streams?: readonly string[]
  message?: string
  stream?: string
}

/** Starts a worker process; `lines` collects its output. */
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

/** Returns all rows of all views, sorted. */
const rowsOf = async (stores: ViewStores): Promise<string[]> => {
  const rows: string[] = []
  for (const projection of stores.projections)
    for await (const some of (await stores.open(projection, 1)).rows())
      for (const { c, content } of some) rows.push(`${projection} ${c} ${content}`)
  return rows.sort()
}

/** A growing log, a database that workers share, and the result of a fresh replay. */
const scene = async (t: Test) => {
  const nats = await startWithStreams(t)
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
  'workers are killed and suspended during a load: others take over, and the views are right',
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
    // A process that is suspended in a transaction would keep SQLite's lock.
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

t.test('a worker with a stopped clock writes no more: the fence refuses it', async t => {
  const { nats, file, chat, isLevel, expectReplay } = await scene(t)
  await chat(5)
  // It would release its streams only after an hour.
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
    zombie.lines.filter(({ message }) => message?.startsWith('another worker has claimed'))
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
