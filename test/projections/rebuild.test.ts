import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { openSqliteStores, openSqliteViews } from '../../src/infra/sqlite/index.ts'
import {
  openFeeds,
  type ProjectionName,
  ProjectionRunner,
  type ProjectionTarget,
  projectionNames,
  rosterProjection,
} from '../../src/projections/index.ts'
import { tempFolder } from '../harness/temp-folder.ts'
import { historyOf, stepsOf } from './history.ts'
import { MemorySource } from './memory-source.ts'
import { modelOf } from './model-views.ts'
import { readAll } from './read-views.ts'
import { quiet, runToEnd } from './run-to-end.ts'

const streams = historyOf(fc.sample(stepsOf(400, 400), { numRuns: 1, seed: 43 })[0] ?? [])
const folder = tempFolder(t)

/** Projects streams into a database; returns the number of events per projection. */
const project = async (
  path: string,
  log: typeof streams,
  versions: Partial<Record<ProjectionName, number>> = {},
) => {
  const stores = openSqliteStores(path)
  const projected: Partial<Record<ProjectionName, number>> = {}
  const feeds = (await openFeeds(stores)).map(
    (one): ProjectionTarget => ({
      ...one,
      version: versions[one.name] ?? one.version,
      begin() {
        const pending = one.begin()
        return {
          ...pending,
          add(event) {
            projected[one.name] = (projected[one.name] ?? 0) + 1
            pending.add(event)
          },
        }
      },
    }),
  )
  const source = new MemorySource(log)
  await runToEnd(new ProjectionRunner({ source, stores, log: quiet, feeds }), source)
  const views = openSqliteViews(path)
  t.strictSame(await readAll(views), modelOf(log).all)
  const positions = await views.positions('roster')
  views.close()
  await stores.close()
  return { projected, positions }
}

t.test('another version is rebuilt from the start, other projections are unchanged', async t => {
  const path = join(folder, 'versions.db')
  const { positions } = await project(path, streams)
  const all = Object.values(streams).flat().length
  const stores = openSqliteStores(path)
  await (await stores.open('roster', 1)).apply([{ c: 'c-0', user: 'ghost', seq: 999, role: 'member' }])
  await stores.close()
  t.same(await project(path, streams, { roster: rosterProjection.version + 1 }), {
    projected: { roster: all },
    positions,
  })
  t.same((await project(path, streams, { roster: rosterProjection.version + 1 })).projected, {})
  t.same((await project(path, streams)).projected, { roster: all }, 'an older one too')
})

t.test('views of a log that no longer exists are rebuilt', async t => {
  const path = join(folder, 'logs.db')
  await project(path, streams)
  const shorter = { ...streams, CONV_0: (streams.CONV_0 ?? []).slice(0, 10) }
  const all = Object.values(shorter).flat().length
  t.same(
    (await project(path, shorter)).projected,
    Object.fromEntries(projectionNames.map(name => [name, all])),
  )
})
