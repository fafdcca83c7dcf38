import type { Position } from '../../events/index.ts'
import type { Generations, SearchQueries, StoreByProjection, ViewStores } from '../../projections/index.ts'
import { BulkWriter } from './bulk-writer.ts'
import { elasticsearchCheckpoints } from './checkpoint-store.ts'
import { checkServer, connect } from './connect.ts'
import { answered, named } from './elasticsearch-error.ts'
import { compileOptions, type ElasticsearchOptions } from './elasticsearch-options.ts'
import { lifecycleOf } from './lifecycle.ts'
import { elasticsearchIndex } from './search-index.ts'
import { aliasOf, SearchParts } from './search-parts.ts'
import { elasticsearchQueries } from './search-queries.ts'

/** The search in a cluster of Elasticsearch: what writes it, and what reads it. */
export interface Elasticsearch {
  /** Holds `search`. Its `open` checks the server first: it rejects with ElasticsearchError when that is not as it should be. */
  readonly stores: ViewStores
  /** Rejects with ElasticsearchError when the cluster does not answer, refuses the credentials, or is too old. */
  check(): Promise<void>
  /** The search of a generation. Does no I/O until it is asked; rejects with ConfabError UNAVAILABLE when it gets no answer. */
  searchAt(generations: Generations): SearchQueries
  /** What a generation has applied and shows, by stream. Rejects as a search does. */
  positions(generation: number): Promise<readonly Position[]>
  close(): Promise<void>
}

/** Does no I/O: a server that is not there at the moment may come later. */
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
    // An index that was removed by hand is built again: it is as if nothing had been applied.
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
      // Several bulk requests: fewer would leave processors idle at the end of each batch.
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
        // What was applied before is shown after.
        await client.indices.refresh({ index: aliasOf(prefix, generation) })
        return all
          .filter(one => one.projection === 'search' && one.generation === generation)
          .map(({ stream, streamSeq }) => ({ stream, streamSeq }))
          .sort((a, b) => (a.stream < b.stream ? -1 : 1))
      }),
    close,
  }
}
