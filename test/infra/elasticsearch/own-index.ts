import { randomBytes } from 'node:crypto'
import type { Test } from 'tap'
import {
  type Elasticsearch,
  type ElasticsearchOptions,
  openElasticsearch,
} from '../../../src/infra/elasticsearch/index.ts'
import type { SearchIndex, Views } from '../../../src/projections/index.ts'
import type { OpenViews } from '../../contracts/open-views.ts'
import { openGeneration } from '../../contracts/open-views.ts'

/** Sends a request to the server itself. */
export const ask = async (url: string, method: string, path: string, body?: unknown): Promise<unknown> => {
  const answer = await fetch(`${url}${path}`, {
    method,
    ...(body === undefined
      ? {}
      : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  })
  const told = await answer.json()
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(told)}`)
  return told
}

/** Returns a prefix whose indices are removed with the test. */
export const ownPrefix = (t: Test, url: string): string => {
  const prefix = `test-${randomBytes(6).toString('hex')}`
  t.teardown(async () => {
    const found = Object.keys((await ask(url, 'GET', `/${prefix}-*`)) as object)
    if (found.length > 0) await ask(url, 'DELETE', `/${found.join(',')}`)
  })
  return prefix
}

/** Opens the index on a server; closed with the test. */
export const openOn = (
  t: Test,
  url: string,
  options: Partial<ElasticsearchOptions> & { prefix: string },
): Elasticsearch => {
  const opened = openElasticsearch({ nodes: [url], ...options })
  t.teardown(() => opened.close())
  return opened
}

/** Only the search is available. */
export const viewsOf = ({ searchAt, positions }: Elasticsearch, generation = 1): Views => {
  const elsewhere = new Proxy({}, { get: () => () => Promise.reject(new Error('this view is elsewhere')) })
  return {
    timeline: elsewhere as Views['timeline'],
    inbox: elsewhere as Views['inbox'],
    roster: elsewhere as Views['roster'],
    search: searchAt({ search: generation }),
    positions: () => positions(generation),
  }
}

/** Shows stored documents at once, by refreshing the index. */
export const shownAtOnce = (index: SearchIndex, url: string, prefix: string): SearchIndex => ({
  ...index,
  apply: async changes => {
    await index.apply(changes)
    await ask(url, 'POST', `/${prefix}-search-g*/_refresh`)
  },
})

/** Returns empty stores with their views, for contracts. */
export const openEmpty = async (t: Test, url: string): Promise<OpenViews> => {
  const prefix = ownPrefix(t, url)
  const elasticsearch = openOn(t, url, { prefix })
  const stores = await openGeneration(elasticsearch.stores)
  return {
    stores: { ...stores, search: shownAtOnce(stores.search, url, prefix) },
    views: viewsOf(elasticsearch),
  }
}

/** Returns all rows, sorted. */
export const contentOf = async (index: SearchIndex): Promise<string[]> => {
  const rows: string[] = []
  for await (const some of index.rows()) for (const { content } of some) rows.push(content)
  return rows.sort()
}
