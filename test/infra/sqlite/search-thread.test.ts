import { join } from 'node:path'
import t from 'tap'
import { openSqliteStores, openSqliteViews } from '../../../src/infra/sqlite/index.ts'
import { SearchThread } from '../../../src/infra/sqlite/search-thread.ts'
import type { SearchPosted } from '../../../src/projections/index.ts'
import { tempFolder } from '../../harness/temp-folder.ts'

const posted = (seq: number, text: string): SearchPosted => ({
  kind: 'posted',
  c: 'c',
  m: `m${seq}`,
  seq,
  streamSeq: seq,
  from: 'ann',
  at: new Date(Date.UTC(2026, 0, 1) + seq).toISOString(),
  text,
  media: false,
})
const query = { q: 'tea', conversations: ['c'], limit: 10 }

t.test('searches run beside the main thread', async t => {
  const path = join(tempFolder(t), 'views.db')
  const stores = openSqliteStores(path)
  t.teardown(() => stores.close())
  const index = await stores.open('search', 1)
  // No page holds these matches, so that SQLite returns to no other code before the end.
  await index.apply(Array.from({ length: 3_000 }, (_, i) => posted(i + 1, `${'a b '.repeat(500)}`)))
  const views = openSqliteViews(path)
  t.teardown(() => views.close())
  t.same((await views.search.search(query)).hits, [])
  let turns = 0
  let isOver = false
  const count = (): void => {
    turns++
    if (!isOver) setImmediate(count)
  }
  count()
  const found = await views.search.search({ ...query, q: '"a b a a"' })
  isOver = true
  t.same(found.hits, [])
  t.ok(turns > 50, `${turns} turns of the main thread during the search`)
})

t.test('errors keep their codes; the thread starts again; a closed one answers', async t => {
  const path = join(tempFolder(t), 'views.db')
  const stores = openSqliteStores(path)
  t.teardown(() => stores.close())
  const index = await stores.open('search', 1)
  await index.apply([posted(1, 'tea')])
  const thread = new SearchThread(path)
  const { search } = thread.queriesAt(1)
  await t.rejects(search({ ...query, q: ' ' }), { code: 'BAD_REQUEST', field: '/q' })
  await t.rejects(search({ ...query, cursor: 'x' }), { code: 'BAD_REQUEST', field: '/cursor' })
  await t.rejects(thread.queriesAt(9).search(query), { code: 'UNAVAILABLE' })
  t.match(await search(query), { hits: [{ m: 'm1' }] })
  const waiting = search(query)
  thread.close()
  await t.rejects(waiting, { code: 'UNAVAILABLE' })
  t.match(await search(query), { hits: [{ m: 'm1' }] }, 'a new thread')
  thread.close()
  const gone = new SearchThread(join(tempFolder(t), 'none', 'views.db'))
  t.teardown(() => gone.close())
  await t.resolves(gone.queriesAt(1).search(query), 'an empty database is created')
})
