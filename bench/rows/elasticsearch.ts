import { randomBytes } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { Client } from '@elastic/elasticsearch'
import { openElasticsearch } from '../../src/infra/elasticsearch/index.ts'
import { idOf, sourceOf } from '../../src/infra/elasticsearch/search-documents.ts'
import { indexWords } from '../../src/infra/elasticsearch/search-mapping.ts'
import { discoverLog, NatsEventSource } from '../../src/infra/nats/index.ts'
import {
  type EventSource,
  openFeeds,
  ProjectionRunner,
  type SearchPosted,
  searchProjection,
} from '../../src/projections/index.ts'
import { service } from '../../test/harness/service.ts'
import { makeGroups } from '../harness/events.ts'
import { startNats } from '../harness/nats.ts'
import { rawAppend } from '../limits/raw-append.ts'
import { bulkDocuments, copyIndex, type RawDocument } from '../limits/raw-elasticsearch.ts'
import { type Row, SkippedRow } from '../row.ts'

const groups = 500
const members = 20
const batch = 8_000
/** Documents per request and requests in flight of the limit: not tuned. */
const rawSize = 1_000
const rawAtOnce = 4

const silent = { info: () => {}, warn: () => {}, error: () => {} }

const findServer = async (): Promise<string> => {
  let reason = 'it is not there'
  const server = await service(
    {
      pass: (_name, { skip }) => (reason = skip),
      fail: why => {
        throw new Error(why)
      },
    },
    'elasticsearch',
  )
  if (server === undefined) throw new SkippedRow(`no Elasticsearch: ${reason}`)
  return `http://${server.host}:${server.port}`
}

/** Returns the search changes of a log, computed beforehand. */
const postedOf = async (source: EventSource): Promise<SearchPosted[]> => {
  const posted: SearchPosted[] = []
  for (const { stream, last } of await source.streams()) {
    if (last === 0) continue
    for await (const events of source.consume(stream, 0, { signal: new AbortController().signal })) {
      for (const stored of events)
        for (const change of searchProjection.apply({
          stored,
          event: JSON.parse(Buffer.from(stored.data).toString()),
        }))
          if (change.kind === 'posted') posted.push(change)
      if ((events.at(-1)?.streamSeq ?? 0) >= last) break
    }
  }
  return posted
}

const timeOf = async (work: () => Promise<void>): Promise<number> => {
  const startedAt = performance.now()
  await work()
  return performance.now() - startedAt
}

export const elasticsearchRow: Row = {
  name: 'elasticsearch',
  figures: [
    { path: 'Elasticsearch, index', unit: 'messages/s', target: { rule: 'ratio at least', value: 0.8 } },
    {
      path: 'Elasticsearch, from the log',
      unit: 'messages/s',
      target: { rule: 'ratio at least', value: 0.5 },
    },
  ],
  prepare: async ({ quick, tell, defer }) => {
    const node = await findServer()
    const prefix = `bench-${randomBytes(6).toString('hex')}`
    const client = new Client({ node, requestTimeout: 60_000 })
    defer(async () => {
      const found = Object.keys(await client.indices.get({ index: `${prefix}-*` }))
      if (found.length > 0) await client.indices.delete({ index: found })
      await client.close()
    })
    const nats = await startNats()
    defer(nats.stop)
    const own = await nats.connect()
    await rawAppend(own.connection, makeGroups(groups, members, quick ? 10_000 : 40_000))
    const source = new NatsEventSource(own, await discoverLog(own.connection))
    defer(() => source.close())
    const posted = await postedOf(source)
    tell(`${posted.length} messages`)
    const documents = posted.map((message): RawDocument => {
      const document = { ...sourceOf(message), words: indexWords(message.text) }
      return { id: idOf(message), routing: message.c, source: document }
    })
    const { stores, close } = openElasticsearch({ nodes: [node], prefix })
    defer(close)
    const feeds = await openFeeds(stores)
    const index = await stores.open('search', 1)

    const empty = async (): Promise<void> => {
      await index.clear()
      await stores.checkpoints.remove('search', 1)
    }
    const projectAll = async (): Promise<void> => {
      const runner = new ProjectionRunner({ source, stores, log: silent, feeds })
      await runner.start()
      const streams = () => runner.status().flatMap(projection => projection.streams)
      while (streams().some(({ position, head }) => position < head)) await wait(2)
      if (streams().some(({ deadLetters }) => deadLetters > 0)) throw new Error('there are dead letters')
      await runner.stop()
    }
    const check = async (index: string): Promise<void> => {
      await client.indices.refresh({ index })
      const { count } = await client.count({ index })
      if (count !== posted.length) throw new Error(`${count} of ${posted.length} messages are in ${index}`)
    }
    const rate = (ms: number) => (posted.length * 1000) / ms

    const ours = async (): Promise<number[]> => {
      await empty()
      const indexMs = await timeOf(async () => {
        for (let from = 0; from < posted.length; from += batch)
          await index.apply(posted.slice(from, from + batch))
      })
      await check(`${prefix}-search-g1`)
      await empty()
      const allMs = await timeOf(projectAll)
      await check(`${prefix}-search-g1`)
      return [rate(indexMs), rate(allMs)]
    }
    const limit = async (): Promise<number[]> => {
      const raw = await copyIndex(client, `${prefix}-search-g1-000001`)
      const ms = await bulkDocuments(client, raw, documents, rawSize, rawAtOnce)
      await check(raw)
      return [rate(ms), rate(ms)]
    }
    // A freshly started server compiles its own code for a while.
    for (let turn = 0; turn < (quick ? 0 : 4); turn++) {
      await limit()
      await ours()
    }
    return { ours, limit }
  },
}
