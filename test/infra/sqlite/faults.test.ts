import { fork } from 'node:child_process'
import { once } from 'node:events'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { openSqliteStores, openSqliteViews } from '../../../src/infra/sqlite/index.ts'
import { ProjectionRunner } from '../../../src/projections/index.ts'
import { cannotMount, mountDisk } from '../../harness/mounted-disk.ts'
import { tempFolder } from '../../harness/temp-folder.ts'
import { MemorySource } from '../../projections/memory-source.ts'
import { modelOf } from '../../projections/model-views.ts'
import { readAll } from '../../projections/read-views.ts'
import { quiet, runToEnd, untilLevel } from '../../projections/run-to-end.ts'
import { longHistory } from './long-history.ts'

const unavailable = (detail: RegExp) => ({ name: 'ConfabError', code: 'UNAVAILABLE', detail })
const opened = (open: () => unknown): unknown => {
  try {
    open()
    return 'opened'
  } catch (error) {
    return error
  }
}

t.test('a place that cannot hold a database is reported', async t => {
  const folder = tempFolder(t)
  const file = join(folder, 'file')
  writeFileSync(file, 'no database, but long enough to look like one'.repeat(100))
  for (const open of [openSqliteStores, openSqliteViews]) {
    t.match(
      opened(() => open(join(file, 'views.db'))),
      unavailable(/folder cannot be used: E/),
    )
    t.match(
      opened(() => open(folder)),
      unavailable(/cannot be opened|the disk reports/),
    )
    t.match(
      opened(() => open(file)),
      unavailable(/not an SQLite database.*rebuilds it from the log/),
    )
  }
})

t.test('a database of a newer build is not changed', async t => {
  const path = join(tempFolder(t), 'views.db')
  await openSqliteStores(path).close()
  const db = new DatabaseSync(path)
  db.exec('PRAGMA user_version = 1000')
  db.close()
  for (const open of [openSqliteStores, openSqliteViews])
    t.match(
      opened(() => open(path)),
      { name: 'NewerDatabaseError', message: /schema 1000/ },
    )
})

t.test('views can be opened before anything was written, and by two processes at once', async t => {
  const path = join(tempFolder(t), 'deep', 'views.db')
  const [first, second] = [openSqliteViews(path), openSqliteViews(path)]
  const stores = openSqliteStores(path)
  await (await stores.open('roster', 1)).apply([{ c: 'c', user: 'ann', seq: 1, role: 'owner' }])
  t.same((await first.roster.conversationsOf('ann')).conversations, ['c'])
  t.same((await second.inbox.page('ann', { limit: 1 })).items, [])
  first.close()
  await t.rejects(async () => first.inbox.page('ann', { limit: 1 }))
  second.close()
  await stores.close()
})

t.test(
  'a full disk: the runner waits for room, and nothing is lost',
  { skip: cannotMount, timeout: 60_000 },
  async t => {
    const disk = mountDisk(t, join(tempFolder(t), 'disk'), '2m')
    const path = join(disk.folder, 'views.db')
    const streams = longHistory(1, 16_000)
    const source = new MemorySource(streams, [40])
    const stores = openSqliteStores(path)
    const runner = new ProjectionRunner({ source, stores, log: quiet, retryMs: 5 })
    await runner.start()
    const stuck = () =>
      runner
        .status()
        .flatMap(({ streams }) => streams)
        .find(({ state }) => state === 'failing')
    while (stuck() === undefined) await sleep(2)
    t.match(stuck()?.reason, /^The views' database: the disk (is full|fails)\.$/)
    const views = openSqliteViews(path)
    t.ok((await views.positions('timeline')).length > 0, 'what was stored can be read')
    disk.resize('512m')
    await untilLevel(runner, source)
    t.strictSame(await readAll(views), modelOf(streams).all)
    await runner.stop()
    views.close()
    await stores.close()
  },
)

t.test('a read-only disk: a clear error', { skip: cannotMount }, async t => {
  const disk = mountDisk(t, join(tempFolder(t), 'disk'), '8m')
  const path = join(disk.folder, 'views.db')
  await openSqliteStores(path).close()
  disk.makeReadOnly()
  t.match(
    opened(() => openSqliteStores(path)),
    unavailable(/read-only/),
  )
  t.match(
    opened(() => openSqliteStores(join(disk.folder, 'other', 'views.db'))),
    unavailable(/folder cannot be used/),
  )
})

t.test('a database that another process holds: the write is retried', async t => {
  const path = join(tempFolder(t), 'views.db')
  const stores = openSqliteStores(path)
  const other = new DatabaseSync(path)
  other.exec('BEGIN IMMEDIATE')
  await t.rejects(
    stores.atomically(async () => {}),
    unavailable(/locked/),
  )
  other.exec('COMMIT')
  other.close()
  const roster = await stores.open('roster', 1)
  await stores.atomically(() => roster.apply([{ c: 'c', user: 'ann', seq: 1, role: 'owner' }]))
  await stores.close()
})

t.test('kill -9 during writes, many times', { timeout: 60_000 }, async t => {
  const path = join(tempFolder(t), 'views.db')
  const seed = 3
  for (let i = 0; i < 8; i++) {
    const child = fork(join(import.meta.dirname, 'killed-writer.ts'), [path, String(seed)])
    await once(child, 'message')
    await sleep(Math.random() * 60)
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  const streams = longHistory(seed)
  const source = new MemorySource(streams)
  const before = openSqliteViews(path)
  const reached = (await before.positions('inbox')).reduce((sum, { streamSeq }) => sum + streamSeq, 0)
  before.close()
  t.comment(`${reached} events were stored by then`)
  const stores = openSqliteStores(path)
  await runToEnd(new ProjectionRunner({ source, stores, log: quiet }), source)
  const views = openSqliteViews(path)
  t.strictSame(await readAll(views), modelOf(streams).all)
  views.close()
  await stores.close()
})

t.test('a removed database is rebuilt', async t => {
  const path = join(tempFolder(t), 'views.db')
  const streams = longHistory(2)
  for (const _ of [1, 2]) {
    const stores = openSqliteStores(path)
    const source = new MemorySource(streams)
    await runToEnd(new ProjectionRunner({ source, stores, log: quiet }), source)
    const views = openSqliteViews(path)
    t.strictSame(await readAll(views), modelOf(streams).all)
    views.close()
    await stores.close()
    for (const suffix of ['', '-wal', '-shm']) rmSync(path + suffix, { force: true })
  }
})
