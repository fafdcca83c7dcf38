import t, { type Test } from 'tap'
import type { ElasticsearchOptions } from '../../../src/infra/elasticsearch/index.ts'
import type { SearchChange, SearchIndex, SearchPosted } from '../../../src/projections/index.ts'
import { service } from '../../harness/service.ts'
import { ask, contentOf, openOn, ownPrefix } from './own-index.ts'
import { standIn } from './stand-in.ts'

const day = 86_400_000
const now = Date.now()

const posted = (seq: number, time: number): SearchPosted => ({
  kind: 'posted',
  c: 'c',
  m: `m${seq}`,
  seq,
  streamSeq: seq,
  from: 'ann',
  at: new Date(time).toISOString(),
  text: `word ${seq}`,
  media: false,
})
const amended = (seq: number, m: string, text: string | null): SearchChange => ({
  kind: 'amended',
  c: 'c',
  m,
  seq,
  text,
})

/** Checks at each write whether to roll over, and does so at any size; a new index begins at once. */
const eager = { lookMs: 0, leadMs: 0, rolloverBytes: 1 }

const found = await service(t, 'elasticsearch')
if (found !== undefined) {
  const url = `http://${found.host}:${found.port}`
  const indices = async (prefix: string) =>
    Object.keys((await ask(url, 'GET', `/${prefix}-search-*`)) as object).sort()
  const count = async (index: string) => {
    await ask(url, 'POST', `/${index}/_refresh`)
    return ((await ask(url, 'GET', `/${index}/_count`)) as { count: number }).count
  }
  const open = async (
    t: Test,
    prefix: string,
    options: Partial<ElasticsearchOptions> = {},
    generation = 1,
  ) => {
    const elasticsearch = openOn(t, url, { ...options, prefix })
    const index: SearchIndex = await elasticsearch.stores.open('search', generation)
    const hits = async () => {
      await ask(url, 'POST', `/${prefix}-search-*/_refresh`)
      const query = { q: 'word', conversations: ['c'], limit: 100 }
      const { hits } = await elasticsearch.searchAt({ search: generation }).search(query)
      return hits.map(({ seq, text }) => `${seq} ${text}`)
    }
    return { elasticsearch, index, hits }
  }

  t.test('a large index is followed by another; every message stays where its time belongs', async t => {
    const prefix = ownPrefix(t, url)
    const { index, hits } = await open(t, prefix, eager)
    const steady = await open(t, prefix, { lookMs: 0 })
    const history = [
      posted(1, now - 2 * day),
      posted(2, now - day),
      amended(3, 'm1', 'word 1 again'),
      posted(4, now + day),
      amended(5, 'm4', 'word 4 again'),
      amended(6, 'm2', null),
    ]
    await index.apply(history.slice(0, 2))
    await index.apply(history.slice(2, 4))
    await index.apply(history.slice(4))
    const parts = await indices(prefix)
    t.ok(parts.length > 2)
    const all = ['4 word 4 again', '1 word 1 again']
    t.same(await hits(), all)
    const before = await contentOf(index)
    // Everything again, in any parts, by this writer and another.
    for (const writer of [index, steady.index])
      for (const part of [
        history,
        history.slice(0, 1),
        history.slice(1, 5),
        history.slice(3),
        history.slice(5),
      ]) {
        await writer.apply(part)
        t.same(await contentOf(index), before)
      }
    t.equal(await count(`${prefix}-search-g1-000001`), 2, 'the two of the past, one of them without text')
    const later = (await indices(prefix)).slice(1)
    t.equal(
      (await Promise.all(later.map(count))).reduce((a, b) => a + b),
      1,
    )
    t.same(await steady.hits(), all)
  })

  t.test('two concurrent looks create one index', async t => {
    const prefix = ownPrefix(t, url)
    const writers = await Promise.all(
      Array.from({ length: 4 }, () => open(t, prefix, { ...eager, leadMs: 600_000 })),
    )
    await Promise.all(writers.map(({ index }, i) => index.apply([posted(i + 1, now)])))
    await Promise.all(writers.map(({ index }, i) => index.apply([posted(i + 5, now)])))
    t.same((await indices(prefix)).length, 2, 'and no further one before it has begun')
    t.equal(await count(`${prefix}-search-g1-000001`), 8)
  })

  t.test('old indices are rolled over too, and removed after the retention', async t => {
    const prefix = ownPrefix(t, url)
    const before = await open(t, prefix, eager)
    const old = [posted(1, now - 10 * day), posted(2, now - 9 * day)]
    await before.index.apply(old)
    await before.index.apply([])
    const later = [posted(3, now + day), amended(4, 'm1', 'word 1 again'), amended(5, 'm3', 'word 3 again')]
    await before.index.apply(later)
    t.same((await before.hits()).length, 3)

    // Far from the time of the test: the retention ends after the first index's span.
    const { index, hits } = await open(t, prefix, { lookMs: 0, retentionMs: -day })
    await index.apply([])
    t.notOk((await indices(prefix)).includes(`${prefix}-search-g1-000001`))
    t.same(await hits(), ['3 word 3 again'])
    await index.apply([...old, ...later])
    t.same(await hits(), ['3 word 3 again'], 'and stay removed when their messages are repeated')
    await index.apply([amended(6, 'm1', 'word 1 once more')])
    t.same(await hits(), ['3 word 3 again'])
  })

  t.test('age', async t => {
    const prefix = ownPrefix(t, url)
    const { index } = await open(t, prefix, { lookMs: 0, rolloverMs: 1, leadMs: 600_000 })
    await new Promise(resolve => setTimeout(resolve, 10))
    await index.apply([posted(1, now)])
    t.equal((await indices(prefix)).length, 2)
  })

  t.test(
    'another generation is divided like the previous one, with the same contents; so is a cleared one',
    async t => {
      const prefix = ownPrefix(t, url)
      const { index } = await open(t, prefix, eager)
      const history = [posted(1, now - day), posted(2, now + day), amended(3, 'm1', 'word again')]
      for (const change of history) await index.apply([change])
      const parts = (await indices(prefix)).length
      t.ok(parts > 1)
      const other = await open(t, prefix, {}, 2)
      t.equal((await indices(prefix)).length, 2 * parts)
      await other.index.apply(history)
      const same = async (a: SearchIndex, b: SearchIndex) => t.same(await contentOf(a), await contentOf(b))
      await same(index, other.index)
      await other.index.clear()
      t.same(await contentOf(other.index), [])
      t.equal((await indices(prefix)).length, 2 * parts)
      await other.index.apply(history)
      await same(index, other.index)
    },
  )

  // This machine's server has no ILM: the test inspects the requests.
  t.test('with ILM, closed indices are put under its policy, and only ILM removes them', async t => {
    const asked: [string, unknown][] = []
    const managed = await standIn(t, url, ({ method, url: path = '' }) => {
      const isLifecycle = path.startsWith('/_ilm/') || (method === 'PUT' && path.endsWith('/_settings'))
      if (!isLifecycle) return undefined
      const told = (body: string) => void asked.push([`${method} ${path}`, body && JSON.parse(body)])
      return { status: 200, body: { acknowledged: true, operation_mode: 'RUNNING' }, told }
    })
    const prefix = ownPrefix(t, url)
    const elasticsearch = openOn(t, managed, { prefix, ...eager, retentionMs: day })
    const index = await elasticsearch.stores.open('search', 1)
    await index.apply([posted(1, now - day)])
    const began = Date.now()
    await index.apply([posted(2, now)])
    const policy = {
      policy: {
        phases: {
          hot: { actions: {} },
          warm: { min_age: '1d', actions: { forcemerge: { max_num_segments: 1 } } },
          delete: { min_age: `${day}ms`, actions: { delete: {} } },
        },
      },
    }
    const puts = asked.filter(([request]) => request.startsWith('PUT'))
    t.same(puts[0], [`PUT /_ilm/policy/${prefix}-search`, policy])
    t.match(puts[1], [
      `PUT /${prefix}-search-g1-000001/_settings`,
      { lifecycle: { name: `${prefix}-search`, origination_date: Number } },
    ])
    const settings = puts[1]?.[1] as { lifecycle: { origination_date: number } } | undefined
    t.ok((settings?.lifecycle.origination_date ?? began + 1) <= began, 'the end of its span')
    t.ok((await indices(prefix)).includes(`${prefix}-search-g1-000001`))
  })
}
