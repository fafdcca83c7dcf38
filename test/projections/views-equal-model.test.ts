import assert from 'node:assert/strict'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import type { StoredEvent } from '../../src/events/index.ts'
import { openSqliteStores, openSqliteViews } from '../../src/infra/sqlite/index.ts'
import {
  openFeeds,
  ProjectionRunner,
  type RunnerOptions,
  type ViewStores,
} from '../../src/projections/index.ts'
import { tempFolder } from '../harness/temp-folder.ts'
import { conversations, historyOf, steps, vocabulary } from './history.ts'
import { MemorySource } from './memory-source.ts'
import { modelOf } from './model-views.ts'
import { readAll, searchAll } from './read-views.ts'
import { quiet, runToEnd } from './run-to-end.ts'

const folder = tempFolder(t)
let files = 0
const freshPath = () => join(folder, `views-${files++}.db`)

type Streams = Record<string, readonly StoredEvent[]>

const project = async (
  path: string,
  source: MemorySource,
  options: Partial<RunnerOptions> = {},
  wrap = same,
) => {
  const stores = wrap(openSqliteStores(path))
  await runToEnd(new ProjectionRunner({ source, stores, log: quiet, ...options }), source)
  await stores.close()
}
const same = (stores: ViewStores): ViewStores => stores

const expectViews = async (path: string, streams: Streams): Promise<void> => {
  const views = openSqliteViews(path)
  try {
    const model = modelOf(streams)
    assert.deepStrictEqual(await readAll(views), model.all)
    for (const [i, [, found]] of vocabulary.entries()) {
      const expected = model.found([i], conversations).sort()
      assert.deepStrictEqual((await searchAll(views, found, conversations)).sort(), expected)
      const few = ['c-1', 'c-3']
      assert.deepStrictEqual((await searchAll(views, found, few)).sort(), model.found([i], few).sort())
    }
    const phrase = `"${vocabulary[0]?.[1]} ${vocabulary[2]?.[1]}"`
    assert.deepStrictEqual(
      (await searchAll(views, phrase, conversations)).sort(),
      model.found([0, 2], conversations).sort(),
    )
  } finally {
    views.close()
  }
}

const property = async (
  name: string,
  runs: number,
  check: (streams: Record<string, StoredEvent[]>, random: readonly number[]) => Promise<void>,
) =>
  t.test(name, async t => {
    await fc.assert(
      fc.asyncProperty(
        steps,
        fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 10 }),
        (run, random) => check(historyOf(run), random),
      ),
      { numRuns: runs, endOnFailure: true },
    )
    t.pass(`${runs} histories`)
  })

await property('in one go', 40, async streams => {
  const path = freshPath()
  await project(path, new MemorySource(streams))
  await expectViews(path, streams)
})

await property('in random batches, stopped and started again', 25, async (streams, sizes) => {
  const path = freshPath()
  for (const part of [0.3, 0.6, 1]) {
    const grown = Object.entries(streams).map(([name, events]) => [
      name,
      events.slice(0, events.length * part),
    ])
    await project(path, new MemorySource(Object.fromEntries(grown), sizes))
  }
  await expectViews(path, streams)
})

await property('with any part applied again', 25, async (streams, random) => {
  const path = freshPath()
  await project(path, new MemorySource(streams))
  const stores = openSqliteStores(path)
  const [from = 0, size = 0] = random
  for (const events of Object.values(streams)) {
    const part = events.slice((from * events.length) / 13, (from * events.length) / 13 + size * 5)
    for (const feed of await openFeeds(stores)) {
      const changes = feed.begin()
      for (const stored of part)
        changes.add({ stored, event: JSON.parse(Buffer.from(stored.data).toString()) })
      await changes.write()
    }
  }
  await stores.close()
  await expectViews(path, streams)
})

await property(
  'with a store that fails before, within and after transactions',
  25,
  async (streams, random) => {
    const path = freshPath()
    let turn = 0
    const failing = (stores: ViewStores): ViewStores => ({
      ...stores,
      async atomically(work) {
        const fate = random[turn++ % random.length] ?? 0
        if (turn > 8) return stores.atomically(work)
        if (fate === 1) throw new Error('before')
        await stores.atomically(async () => {
          await work()
          if (fate === 2) throw new Error('within')
        })
        if (fate === 3) throw new Error('after')
      },
    })
    await project(path, new MemorySource(streams, random), { retryMs: 1 }, failing)
    await expectViews(path, streams)
  },
)
