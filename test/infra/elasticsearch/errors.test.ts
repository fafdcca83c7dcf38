import t, { type Test } from 'tap'
import { ElasticsearchProblem } from '../../../src/infra/elasticsearch/index.ts'
import { ChangeRejectedError, ProjectionRunner, type SearchPosted } from '../../../src/projections/index.ts'
import { second } from '../../contracts/open-views.ts'
import { freePort } from '../../harness/free-ports.ts'
import { service } from '../../harness/service.ts'
import { MemorySource } from '../../projections/memory-source.ts'
import { quiet, runToEnd } from '../../projections/run-to-end.ts'
import { longHistory } from '../sqlite/long-history.ts'
import { ask, contentOf, openOn, ownPrefix, viewsOf } from './own-index.ts'
import { standIn } from './stand-in.ts'

const problem = (code: ElasticsearchProblem, message: RegExp) => ({
  name: 'ElasticsearchError',
  code,
  message,
})
const posted = (seq: number, more: Partial<SearchPosted> = {}): SearchPosted => ({
  kind: 'posted',
  c: 'c',
  m: `m${seq}`,
  seq,
  streamSeq: seq,
  from: 'ann',
  at: second(seq),
  text: 'word',
  media: false,
  ...more,
})
const query = { q: 'word', conversations: ['c'], limit: 100 }

/** Returns a port without a listener. */
t.test(
  'no server: the writer’s error names the address, the client’s that the search is unavailable',
  async t => {
    const elasticsearch = openOn(t, `http://127.0.0.1:${await freePort()}`, { prefix: 'x' })
    const told = problem(ElasticsearchProblem.unreachable, /no node answers.*ECONNREFUSED/)
    await t.rejects(elasticsearch.check(), told)
    await t.rejects(elasticsearch.stores.open('search', 1), told)
    await t.rejects(elasticsearch.stores.checkpoints.load(), told)
    await t.rejects(elasticsearch.stores.checkpoints.claim('CONV_0'), told)
    await t.rejects(elasticsearch.searchAt({}).search(query), { code: 'UNAVAILABLE', cause: told })
    await t.rejects(elasticsearch.positions(1), { code: 'UNAVAILABLE' })
  },
)

t.test('another server', async t => {
  const web = await standIn(t, undefined, () => ({ status: 200, body: {}, product: false }))
  await t.rejects(
    openOn(t, web, { prefix: 'x' }).check(),
    problem(ElasticsearchProblem.another, /not Elasticsearch/),
  )
})

t.test('an older server', async t => {
  const nodes = { a: { name: 'a', version: '9.1.0' }, b: { name: 'b', version: '8.19.2' } }
  const mixed = await standIn(t, undefined, () => ({ status: 200, body: { nodes } }))
  await t.rejects(
    openOn(t, mixed, { prefix: 'x' }).check(),
    problem(ElasticsearchProblem.tooOld, /node b is 8\.19\.2.*9\.0 or later/),
  )
  const error = { type: 'media_type_header_exception', reason: 'Invalid media-type value on headers' }
  const old = await standIn(t, undefined, () => ({ status: 400, body: { error, status: 400 } }))
  await t.rejects(
    openOn(t, old, { prefix: 'x' }).check(),
    problem(ElasticsearchProblem.tooOld, /does not support requests of version 9/),
  )
})

t.test('credentials are sent, and a refusal is reported', async t => {
  const seen: (string | undefined)[] = []
  const error = { type: 'security_exception', reason: 'no such user' }
  const guarded = await standIn(t, undefined, ({ headers }) => {
    seen.push(headers.authorization)
    return { status: seen.length === 1 ? 401 : 403, body: { error } }
  })
  const told = (message: RegExp) => problem(ElasticsearchProblem.credentials, message)
  const user = { prefix: 'x', username: 'ann', password: 'secret' }
  await t.rejects(openOn(t, guarded, user).check(), told(/refused/))
  await t.rejects(openOn(t, guarded, { prefix: 'x', apiKey: 'a2V5' }).check(), told(/do not allow/))
  t.same(seen, [`Basic ${Buffer.from('ann:secret').toString('base64')}`, 'ApiKey a2V5'])
})

const found = await service(t, 'elasticsearch')
if (found !== undefined) {
  const url = `http://${found.host}:${found.port}`
  const open = async (t: Test) => {
    const prefix = ownPrefix(t, url)
    const elasticsearch = openOn(t, url, { prefix, lookMs: 0 })
    return { prefix, elasticsearch, index: await elasticsearch.stores.open('search', 1) }
  }

  t.test('an index with another mapping is not written', async t => {
    const told = problem(ElasticsearchProblem.mapping, /-000001 .*rebuilds it from the log.*another prefix/)
    for (const mappings of [
      {},
      { properties: { c: { type: 'keyword' } } },
      { _meta: { confab: { version: 1, from: 0 } }, properties: { c: { type: 'text' } } },
      { _meta: { confab: { version: 99, from: 0 } } },
    ]) {
      const prefix = ownPrefix(t, url)
      const alias = `${prefix}-search-g1`
      await ask(url, 'PUT', `/${alias}-000001`, { mappings, aliases: { [alias]: {} } })
      await t.rejects(openOn(t, url, { prefix }).stores.open('search', 1), told)
      t.same(await ask(url, 'GET', `/${alias}/_count`).then(told => (told as { count: number }).count), 0)
    }
  })

  t.test('a mapping that changes during a write: no message is at fault', async t => {
    const { prefix, index } = await open(t)
    const name = `${prefix}-search-g1-000001`
    await index.apply([posted(1)])
    await ask(url, 'DELETE', `/${name}`)
    await ask(url, 'PUT', `/${name}`, {
      mappings: { properties: { time: { type: 'boolean' } } },
      aliases: { [`${prefix}-search-g1`]: {}, [`${name}-write`]: {} },
    })
    await t.rejects(
      index.apply([posted(2)]),
      problem(ElasticsearchProblem.mapping, /was not created by confab/),
    )
  })

  t.test('a document that can never be stored is rejected, the rest of the batch is stored', async t => {
    const { elasticsearch, index } = await open(t)
    for (const bad of [
      posted(2, { at: 'noon' }),
      posted(2, { from: 'x'.repeat(40_000) }),
      posted(2, { m: 'x'.repeat(600) }),
      posted(-2),
    ]) {
      const error = await index.apply([posted(1), bad]).catch(error => error)
      t.ok(ChangeRejectedError.is(error), String(error))
    }
    await index.apply([posted(1), posted(3)])
    await elasticsearch.positions(1)
    t.same(
      (await viewsOf(elasticsearch).search.search(query)).hits.map(({ seq }) => seq),
      [3, 1],
    )
  })

  t.test('a write block is reported, and recovered from', async t => {
    const { prefix, index } = await open(t)
    const settings = `/${prefix}-search-g1/_settings`
    for (const block of ['write', 'read_only_allow_delete']) {
      await ask(url, 'PUT', settings, { index: { blocks: { [block]: true } } })
      await t.rejects(index.apply([posted(1)]), problem(ElasticsearchProblem.readOnly, /accepts no writes/))
      await ask(url, 'PUT', settings, { index: { blocks: { [block]: null } } })
      await index.apply([posted(1)])
    }
  })

  t.test('a removed index is not re-created by a write; the next start rebuilds it', async t => {
    const prefix = ownPrefix(t, url)
    const elasticsearch = openOn(t, url, { prefix, lookMs: 0 })
    const { stores } = elasticsearch
    const streams = longHistory(5)
    const source = new MemorySource(streams)
    await runToEnd(new ProjectionRunner({ source, stores, log: quiet }), source)
    const index = await stores.open('search', 1)
    const before = await contentOf(index)
    t.ok(before.length > 100)
    await ask(url, 'DELETE', `/${prefix}-search-g1-000001`)
    const told = problem(ElasticsearchProblem.missing, /restart the projections/)
    await t.rejects(index.apply([posted(1)]), told)
    t.notOk(Object.keys((await ask(url, 'GET', `/${prefix}-*`)) as object).includes(`${prefix}-search-g1`))
    await t.rejects(elasticsearch.searchAt({}).search(query), { code: 'UNAVAILABLE' })
    await runToEnd(new ProjectionRunner({ source, stores, log: quiet }), source)
    t.same(await contentOf(index), before)
  })

  t.test('a dropped generation and its checkpoints are gone; others stay', async t => {
    const { prefix, elasticsearch } = await open(t)
    const { stores } = elasticsearch
    const [first, second] = [await stores.open('search', 1), await stores.open('search', 2)]
    for (const index of [first, second]) await index.apply([posted(1)])
    for (const generation of [1, 2])
      await stores.checkpoints.save(
        [{ projection: 'search', generation, version: 1, stream: 'CONV_0', streamSeq: 7, deadLetters: 0 }],
        0,
      )
    await stores.drop('search', 2)
    t.same(Object.keys((await ask(url, 'GET', `/${prefix}-search*`)) as object), [
      `${prefix}-search-g1-000001`,
    ])
    t.same(
      (await stores.checkpoints.load()).map(({ generation }) => generation),
      [1],
    )
    await t.rejects(second.apply([posted(2)]), { code: ElasticsearchProblem.missing })
    await stores.drop('search', 3)
    await t.rejects(stores.open('inbox', 1), /holds no view called inbox/)
    t.same(await elasticsearch.positions(1), [{ stream: 'CONV_0', streamSeq: 7 }])
  })
}
