import type { Position } from '../../events/index.ts'
import type { Generations, SearchQueries, StoreByProjection, ViewStores } from '../../projections/index.ts'
import { BulkWriter } from './bulk-writer.ts'
import { elasticsearchCheckpoints } from './checkpoint-store.ts'
import { checkServer, compileOptions, connect, type ElasticsearchOptions } from './connect.ts'
import { answered, named } from './elasticsearch-error.ts'
import { elasticsearchIndex } from './search-index.ts'
import { aliasOf, lifecycleOf, SearchParts } from './search-parts.ts'
import { elasticsearchQueries } from './search-queries.ts'

/** The search index in an Elasticsearch cluster: the writing and the reading side. */
export interface Elasticsearch {
  /** Holds `search`. `open` checks the server first and rejects with ElasticsearchError. */
  readonly stores: ViewStores
  /** Rejects with ElasticsearchError when the cluster does not answer, refuses the credentials, or is too old. */
  check(): Promise<void>
  /**
   * Creates the search of a generation without I/O. Queries reject with ConfabError UNAVAILABLE when the cluster does
   * not answer.
   */
  searchAt(generations: Generations): SearchQueries
  /** Returns what a generation has applied and made visible, by stream. Rejects as a search does. */
  positions(generation: number): Promise<readonly Position[]>
  close(): Promise<void>
}

/** Creates the client without I/O: the server may become available later. */
export const openElasticsearch = (options: ElasticsearchOptions): Elasticsearch => {
  const compiled = compileOptions(options)
  const { prefix } = compiled
  const client = connect(compiled)
  const writer = new BulkWriter(client, compiled)
  const checkpoints = elasticsearchCheckpoints(client, compiled)
  const lifecycle = lifecycleOf(client, compiled)
  const partsOf = (generation: number) => new SearchParts(client, compiled, generation, lifecycle)

  const openIndex = async (generation: number) => {
    await checkServer(client)
    const parts = partsOf(generation)
    // An index that an operator removed is rebuilt from the first event.
    if (await named(() => parts.ensure())) await checkpoints.remove('search', generation)
    return elasticsearchIndex(client, writer, parts)
  }
  const close = async () => {
    writer.close()
    await client.close()
  }

  return {
    stores: {
      name: 'elasticsearch',
      projections: ['search'],
      // Several bulk requests per batch: fewer would leave processors idle at the end of each batch.
      batch: 8_000,
      async open<P extends keyof StoreByProjection>(projection: P, generation: number) {
        if (projection !== 'search') throw new Error(`elasticsearch holds no view called ${projection}`)
        return (await openIndex(generation)) as StoreByProjection[P]
      },
      async drop(projection, generation) {
        if (projection !== 'search') return
        await checkpoints.remove('search', generation)
        await named(() => partsOf(generation).drop())
      },
      checkpoints,
      atomically: work => work(),
      close,
    },
    check: () => checkServer(client),
    searchAt: ({ search = 1 }) => elasticsearchQueries(client, aliasOf(prefix, search)),
    positions: generation =>
      answered(async () => {
        const all = await checkpoints.load()
        // Make everything applied so far visible.
        await client.indices.refresh({ index: aliasOf(prefix, generation) })
        return all
          .filter(one => one.projection === 'search' && one.generation === generation)
          .map(({ stream, streamSeq }) => ({ stream, streamSeq }))
          .sort((a, b) => (a.stream < b.stream ? -1 : 1))
      }),
    close,
  }
}
