import type { IncomingMessage } from 'node:http'
import t from 'tap'
import type { SearchPosted } from '../../../src/projections/index.ts'
import { second } from '../../contracts/open-views.ts'
import { service } from '../../harness/service.ts'
import { ask, openOn, ownPrefix } from './own-index.ts'
import { ownServer } from './own-server.ts'
import { standIn } from './stand-in.ts'

const texts = (count: number, characters: number, c = 'c'): SearchPosted[] =>
  Array.from({ length: count }, (_, i) => ({
    kind: 'posted',
    c,
    m: `m${i + 1}`,
    seq: i + 1,
    streamSeq: i + 1,
    from: 'ann',
    at: second(i),
    text: `${'lorem ipsum '.repeat(characters / 12)}${i}`,
    media: false,
  }))
const countOf = async (url: string, prefix: string) => {
  await ask(url, 'POST', `/${prefix}-search-g1/_refresh`)
  return ((await ask(url, 'GET', `/${prefix}-search-g1/_count`)) as { count: number }).count
}

const found = await service(t, 'elasticsearch')
if (found !== undefined) {
  const url = `http://${found.host}:${found.port}`

  t.test('requests have a bounded size, with a bounded number of bytes in flight', async t => {
    const underWay = new Set<IncomingMessage>()
    let [requests, largest, most] = [0, 0, 0]
    const sizeOf = ({ headers }: IncomingMessage) => Number(headers['content-length'])
    const watched = await standIn(t, url, (request, answer) => {
      if (!request.url?.startsWith('/_bulk')) return undefined
      requests++
      largest = Math.max(largest, sizeOf(request))
      underWay.add(request)
      most = Math.max(
        most,
        [...underWay].reduce((sum, one) => sum + sizeOf(one), 0),
      )
      answer.once('finish', () => underWay.delete(request))
      return undefined
    })
    const prefix = ownPrefix(t, url)
    const { stores } = openOn(t, watched, { prefix, bulkBytes: 100_000, inFlightBytes: 250_000 })
    const index = await stores.open('search', 1)
    await Promise.all(['c', 'd'].map(c => index.apply(texts(500, 1_200, c))))
    t.ok(requests >= 20, `${requests} requests`)
    t.ok(largest <= 100_000, `${largest} bytes in one`)
    t.ok(most <= 250_000 && most > 100_000, `${most} bytes at once`)
    t.equal(await countOf(url, prefix), 1_000)
  })

  t.test('temporarily refused items are retried one by one', async t => {
    const refused = new Set<number>()
    let requests = 0
    const error = { type: 'es_rejected_execution_exception', reason: 'queue is full' }
    // Refuses whole requests: the real server refuses single items below.
    const busy = await standIn(t, url, request => {
      if (!request.url?.startsWith('/_bulk')) return undefined
      requests++
      if (requests % 2 === 0) return undefined
      const status = requests % 4 === 1 ? 429 : 503
      refused.add(status)
      return { status, body: { error, status } }
    })
    const prefix = ownPrefix(t, url)
    const { stores } = openOn(t, busy, { prefix, bulkBytes: 20_000 })
    await (await stores.open('search', 1)).apply(texts(200, 600))
    t.same([...refused].sort(), [429, 503])
    t.equal(await countOf(url, prefix), 200)
  })

  t.test('a queue that stays full: the batch fails with its code, and is stored when repeated', async t => {
    let isFull = true
    const error = { type: 'es_rejected_execution_exception', reason: 'queue is full' }
    const busy = await standIn(t, url, request =>
      isFull && request.url?.startsWith('/_bulk') ? { status: 429, body: { error } } : undefined,
    )
    const prefix = ownPrefix(t, url)
    const { stores } = openOn(t, busy, { prefix })
    const index = await stores.open('search', 1)
    await t.rejects(index.apply(texts(10, 60)), { code: 'ELASTICSEARCH_BUSY', message: /429.*queue is full/ })
    isFull = false
    await index.apply(texts(10, 60))
    t.equal(await countOf(url, prefix), 10)
  })

  t.test('a real queue of one, from ten writers at once', { timeout: 240_000 }, async t => {
    const server = await ownServer(
      t,
      'thread_pool.write.size: 1\nthread_pool.write.queue_size: 1\nindexing_pressure.memory.limit: 2mb',
    )
    if (server === undefined) return
    const { stores } = openOn(t, server.url, { prefix: 'full', shards: 4, bulkBytes: 30_000 })
    const index = await stores.open('search', 1)
    const writers = Array.from({ length: 10 }, (_, i) => texts(300, 1_200, `c${i}`))
    // Like the runner: a failed batch is repeated completely.
    const untilStored = async (changes: SearchPosted[]): Promise<void> => {
      for (let tries = 1; ; tries++)
        try {
          return await index.apply(changes)
        } catch (error) {
          t.match(error, { code: 'ELASTICSEARCH_BUSY' })
          if (tries === 20) throw error
        }
    }
    await Promise.all(writers.map(untilStored))
    const stats = (await ask(server.url, 'GET', '/_nodes/stats/thread_pool,indexing_pressure')) as {
      nodes: Record<string, { thread_pool: { write: { rejected: number } }; indexing_pressure: unknown }>
    }
    const [node] = Object.values(stats.nodes)
    t.comment(JSON.stringify([node?.thread_pool.write, node?.indexing_pressure]))
    t.ok((node?.thread_pool.write.rejected ?? 0) > 0, `${node?.thread_pool.write.rejected} were refused`)
    t.equal(await countOf(server.url, 'full'), 3_000)
  })
}
