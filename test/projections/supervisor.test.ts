import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import type { StoredEvent } from '../../src/events/index.ts'
import { openSqliteStores, openSqliteViews } from '../../src/infra/sqlite/index.ts'
import {
  drop,
  firstPlan,
  type PlanStore,
  type ProjectionName,
  ProjectionSupervisor,
  projectionNames,
  rebuild,
  setPaused,
  switchTo,
  type ViewRow,
  type ViewStores,
  versionOf,
} from '../../src/projections/index.ts'
import { tempFolder } from '../harness/temp-folder.ts'
import { historyOf, stepsOf } from './history.ts'
import { memoryPlans } from './memory-plans.ts'
import { MemorySource } from './memory-source.ts'
import { modelOf } from './model-views.ts'
import { readAll } from './read-views.ts'
import { quiet } from './run-to-end.ts'

const streams = historyOf(fc.sample(stepsOf(500, 500), { numRuns: 1, seed: 44 })[0] ?? [])
const half = Object.fromEntries(
  Object.entries(streams).map(([stream, events]) => [stream, events.slice(0, events.length / 2)]),
)
const rest: readonly StoredEvent[] = Object.entries(streams).flatMap(([stream, events]) =>
  events.slice(half[stream]?.length),
)

const open = async (
  t: Test,
  source: MemorySource,
  { path = join(tempFolder(t), 'views.db'), plans = memoryPlans() } = {},
) => {
  const stores = openSqliteStores(path)
  const supervisor = new ProjectionSupervisor({
    source,
    stores,
    plans,
    log: quiet,
    headEveryMs: 5,
    retryMs: 1,
    switchEveryMs: 5,
  })
  let isOpen = true
  const close = async () => {
    if (!isOpen) return
    isOpen = false
    await supervisor.stop()
    await stores.close()
  }
  t.teardown(close)
  await supervisor.start()
  await supervisor.follow(Object.keys(streams))
  return { supervisor, stores, plans, path, close }
}

/** Waits until every generation that is not paused is at the end of every stream. */
const level = async (supervisor: ProjectionSupervisor, source: MemorySource) => {
  const ends = new Map((await source.streams()).map(({ stream, last }) => [stream, last]))
  const behind = () =>
    supervisor
      .status()
      .filter(({ state }) => state !== 'paused')
      .some(({ streams }) => streams.some(({ stream, position }) => position < (ends.get(stream) ?? 0)))
  while (behind()) await sleep(1)
}
const generationsOf = (supervisor: ProjectionSupervisor, projection: ProjectionName) =>
  supervisor
    .status()
    .filter(status => status.projection === projection)
    .map(({ generation, role, state }) => `${generation} ${role} ${state}`)
const until = async (condition: () => boolean | Promise<boolean>) => {
  while (!(await condition())) await sleep(1)
}
const rowsOf = async (stores: ViewStores, projection: ProjectionName, generation: number) => {
  const all: ViewRow[] = []
  for await (const rows of (await stores.open(projection, generation)).rows()) all.push(...rows)
  return all.map(({ c, content }) => `${c} ${content}`).sort()
}

t.test('every view is rebuilt beside itself, switched to, switched back and dropped', async t => {
  const source = new MemorySource(half, [3, 7, 2])
  const { supervisor, stores, plans, path } = await open(t, source)
  const views = openSqliteViews(path)
  t.teardown(views.close)
  await level(supervisor, source)
  for (const projection of projectionNames)
    await plans.update(projection, plan => plan && rebuild(plan, versionOf(projection)))
  await until(() => supervisor.status().length === 2 * projectionNames.length)
  // Live traffic continues.
  source.push(...rest)
  await level(supervisor, source)
  t.same(generationsOf(supervisor, 'inbox'), ['1 live live', '2 building live'])
  t.strictSame(await readAll(views), modelOf(streams).all)
  for (const projection of projectionNames) {
    const before = await rowsOf(stores, projection, 1)
    t.ok(before.length > 0)
    t.strictSame(await rowsOf(stores, projection, 2), before, `${projection}: the same rows`)
  }
  await views.use(Object.fromEntries(projectionNames.map(projection => [projection, 2])))
  t.strictSame(await readAll(views), modelOf(streams).all)

  await plans.update('inbox', plan => plan && switchTo(plan, 2))
  await until(() => generationsOf(supervisor, 'inbox').join() === '1 kept live,2 live live')
  await plans.update('inbox', plan => plan && switchTo(plan, 1))
  await until(() => generationsOf(supervisor, 'inbox').join() === '1 live live,2 building live')
  await plans.update('inbox', plan => plan && drop(plan, 2))
  await until(() => generationsOf(supervisor, 'inbox').join() === '1 live live')
  await until(async () =>
    (await stores.checkpoints.load()).every(one => one.projection !== 'inbox' || one.generation === 1),
  )
  await plans.update('inbox', plan => plan && rebuild(plan, versionOf('inbox')))
  await until(() => generationsOf(supervisor, 'inbox')[1] === '3 building live')
  t.strictSame(await rowsOf(stores, 'inbox', 3), await rowsOf(stores, 'inbox', 1), 'numbers are not reused')
})

t.test('a difference is found', async t => {
  const source = new MemorySource(streams)
  const { supervisor, stores, plans } = await open(t, source)
  await level(supervisor, source)
  await (await stores.open('roster', 1)).apply([{ c: 'c-1', user: 'ghost', seq: 9_999, role: 'member' }])
  await plans.update('roster', plan => plan && rebuild(plan, versionOf('roster')))
  await until(() => generationsOf(supervisor, 'roster').length === 2)
  await level(supervisor, source)
  const [before, after] = [await rowsOf(stores, 'roster', 1), await rowsOf(stores, 'roster', 2)]
  t.same(
    before.filter(row => !after.includes(row)).map(row => /ghost/.test(row)),
    [true],
  )
})

t.test('a paused projection stays paused over restarts, with all its generations', async t => {
  const source = new MemorySource(half)
  const first = await open(t, source)
  await level(first.supervisor, source)
  await first.plans.update('search', plan => plan && setPaused(plan, true))
  await until(() => generationsOf(first.supervisor, 'search')[0] === '1 live paused')
  await first.close()
  source.push(...rest)
  const second = await open(t, source, first)
  await level(second.supervisor, source)
  t.same(generationsOf(second.supervisor, 'search'), ['1 live paused'])
  await second.plans.update('search', plan => plan && setPaused(plan, false))
  await until(() => generationsOf(second.supervisor, 'search')[0] !== '1 live paused')
  await level(second.supervisor, source)
  const views = openSqliteViews(first.path)
  t.teardown(views.close)
  t.strictSame(await readAll(views), modelOf(streams).all)
})

t.test('rows of another version are read until those of this version are complete', async t => {
  const source = new MemorySource(streams)
  const path = join(tempFolder(t), 'views.db')
  const plans: PlanStore = memoryPlans()
  const first = await open(t, source, { path, plans })
  await level(first.supervisor, source)
  await first.close()
  // As if another build had written them.
  const stores = openSqliteStores(path)
  const old = versionOf('inbox') + 7
  for (const one of await stores.checkpoints.load())
    if (one.projection === 'inbox')
      await stores.checkpoints.save([{ ...one, version: old }], await stores.checkpoints.claim(one.stream))
  await stores.close()
  await plans.update('inbox', () => firstPlan(old))
  const second = await open(t, source, { path, plans })
  await until(async () => (await plans.read('inbox'))?.live === 2)
  t.same((await plans.read('inbox'))?.generations, [
    { generation: 1, version: old },
    { generation: 2, version: versionOf('inbox') },
  ])
  await level(second.supervisor, source)
  t.same(generationsOf(second.supervisor, 'inbox'), ['2 live live'])
  t.strictSame(await rowsOf(second.stores, 'inbox', 1), await rowsOf(second.stores, 'inbox', 2))
})

t.test('two workers on one database: the latest claim continues, the other stops', async t => {
  const source = new MemorySource(half, [5])
  const first = await open(t, source)
  await level(first.supervisor, source)
  const second = await open(t, source, first)
  source.push(...rest)
  await level(second.supervisor, source)
  await until(() => first.supervisor.streams().length === 0)
  t.same(second.supervisor.streams().sort(), Object.keys(streams).sort())
  const views = openSqliteViews(first.path)
  t.teardown(views.close)
  t.strictSame(await readAll(views), modelOf(streams).all)
})

t.test('a retried message that was deleted or edited later does not reappear in its old form', async t => {
  const source = new MemorySource(streams)
  const { supervisor, stores, path } = await open(t, source)
  await level(supervisor, source)
  const events = Object.values(streams).flat()
  const bodies = events.map(({ data }) => JSON.parse(Buffer.from(data).toString()) as Record<string, string>)
  const posted = (type: string) => {
    const later = bodies.find(body => body.type === type)
    const event =
      events[
        bodies.findIndex(({ type, c, m }) => type === 'message.posted' && c === later?.c && m === later?.m)
      ]
    if (event === undefined) throw new Error(`no ${type} in the history`)
    return event
  }
  const wanted = await rowsOf(stores, 'search', 1)
  for (const event of [posted('message.deleted'), posted('message.edited')]) {
    // As if it had been refused when it arrived, and later events had found nothing.
    const { c, m } = JSON.parse(Buffer.from(event.data).toString()) as { c: string; m: string }
    const db = new DatabaseSync(path)
    db.prepare('DELETE FROM search_message WHERE c = ? AND m = ?').run(c, m)
    db.close()
    const { stream, streamSeq } = event
    t.match(await supervisor.retry({ projection: 'search', stream, streamSeq }), {
      ok: true,
      generations: [1],
    })
    t.strictSame(await rowsOf(stores, 'search', 1), wanted)
  }
  t.match(await supervisor.retry({ projection: 'search', stream: 'CONV_0', streamSeq: 99_999 }), {
    ok: false,
    reason: /no longer has/,
  })
  t.equal(await supervisor.retry({ projection: 'search', stream: 'CONV_9', streamSeq: 1 }), undefined)
})
