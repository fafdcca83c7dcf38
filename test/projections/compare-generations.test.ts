import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { openSqliteStores } from '../../src/infra/sqlite/index.ts'
import {
  compareGenerations,
  openFeeds,
  ProjectionRunner,
  type ReadRows,
  type ViewRow,
} from '../../src/projections/index.ts'
import { tempFolder } from '../harness/temp-folder.ts'
import { historyOf, stepsOf } from './history.ts'
import { MemorySource } from './memory-source.ts'
import { quiet, runToEnd } from './run-to-end.ts'

/** Yields rows in batches of some size. */
const rowsIn = (rows: readonly ViewRow[], size = 3): ReadRows =>
  async function* () {
    for (let i = 0; i < rows.length; i += size) yield rows.slice(i, i + size)
  }

const row = fc.record({
  c: fc.constantFrom('c-1', 'c-2', 'c-3'),
  content: fc.constantFrom('x', 'y', 'z', ''),
})

t.test('the same rows in any order are equal; a missing, extra or different row is found', async t => {
  await fc.assert(
    fc.asyncProperty(fc.array(row, { maxLength: 30 }), fc.array(row, { maxLength: 30 }), async (a, b) => {
      const keysOf = (rows: readonly ViewRow[]) => rows.map(({ c, content }) => `${c}\n${content}`).sort()
      const { rows, different, examples } = await compareGenerations(rowsIn(a), rowsIn(b, 2), {
        examples: 1000,
      })
      t.same(rows, { a: a.length, b: b.length })
      const isEqual = (one: string) =>
        keysOf(a.filter(({ c }) => c === one)).join('\0') ===
        keysOf(b.filter(({ c }) => c === one)).join('\0')
      t.same(
        different,
        ['c-1', 'c-2', 'c-3'].filter(c => !isEqual(c)),
      )
      // The reported difference is exactly what has to be removed to make both equal.
      const without = (rows: readonly ViewRow[], only: 'a' | 'b') => {
        const gone = new Set(
          examples.filter(one => one.only === only).map(({ c, content }) => `${c}\n${content}`),
        )
        return new Set(keysOf(rows).filter(key => !gone.has(key)))
      }
      for (const key of without(a, 'a')) t.ok(keysOf(b).includes(key))
      for (const key of without(b, 'b')) t.ok(keysOf(a).includes(key))
      t.equal(examples.length > 0, different.length > 0)
    }),
    { numRuns: 100 },
  )
})

t.test('a duplicate row is a difference; the number of examples is bounded', async t => {
  const rows = Array.from({ length: 50 }, (_, i) => ({ c: `c-${i}`, content: `${i}` }))
  const twice = await compareGenerations(rowsIn([...rows, ...rows.slice(0, 1)]), rowsIn(rows))
  t.same(twice, {
    rows: { a: 51, b: 50 },
    conversations: 50,
    different: ['c-0'],
    examples: [{ c: 'c-0', content: '0', only: 'a' }],
  })
  t.same((await compareGenerations(rowsIn(rows), rowsIn([]))).examples.length, 10)
  t.same((await compareGenerations(rowsIn(rows), rowsIn([]), { examples: 0 })).examples, [])
  const seen: number[] = []
  await compareGenerations(rowsIn(rows, 25), rowsIn(rows, 25), { onProgress: rows => seen.push(rows) })
  t.same(seen, [25, 50, 75, 100])
})

t.test('it can be aborted', async t => {
  const stop = new AbortController()
  const endless: ReadRows = async function* () {
    for (;;) {
      yield [{ c: 'c', content: 'x' }]
      stop.abort(new Error('enough'))
    }
  }
  await t.rejects(compareGenerations(endless, rowsIn([]), { signal: stop.signal }), /enough/)
})

t.test('generations of real views: other batches are equal, a changed row is not', async t => {
  const [steps = []] = fc.sample(stepsOf(400, 400), { numRuns: 1, seed: 7 })
  const stores = openSqliteStores(join(tempFolder(t), 'views.db'))
  t.teardown(() => stores.close())
  const source = new MemorySource(historyOf(steps))
  for (const [generation, batch] of [
    [1, 500],
    [2, 7],
  ] as const) {
    const generations = Object.fromEntries(stores.projections.map(name => [name, generation]))
    const feeds = await openFeeds(stores, generations)
    await runToEnd(new ProjectionRunner({ source, stores, log: quiet, feeds, batch }), source)
  }
  for (const projection of stores.projections) {
    const [one, two] = [await stores.open(projection, 1), await stores.open(projection, 2)]
    const { rows, conversations, different } = await compareGenerations(
      () => one.rows(),
      () => two.rows(),
    )
    t.same(different, [], projection)
    t.ok(rows.a > 0 && conversations > 0, `${projection}: ${rows.a} rows`)
  }
  const roster = await stores.open('roster', 2)
  await roster.apply([{ c: 'c-0', user: 'ghost', seq: 999, role: 'member' }])
  const first = await stores.open('roster', 1)
  const { different, examples } = await compareGenerations(
    () => first.rows(),
    () => roster.rows(),
  )
  t.same(different, ['c-0'])
  t.match(examples, [{ c: 'c-0', only: 'b', content: /ghost/ }])
})
