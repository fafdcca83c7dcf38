import type { Client, estypes } from '@elastic/elasticsearch'

/** A document of an index, and how it is stored. */
export interface RawDocument {
  readonly id: string
  readonly routing: string
  readonly source: Readonly<Record<string, unknown>>
}

/** Creates an empty index with another index's mapping and settings, named after it with `-raw`. */
export const copyIndex = async (client: Client, index: string): Promise<string> => {
  const copy = `${index}-raw`
  const found = (await client.indices.get({ index }))[index]
  const { number_of_shards, auto_expand_replicas, refresh_interval } = (found?.settings?.index ??
    {}) as estypes.IndicesIndexSettings
  await client.indices.delete({ index: copy, ignore_unavailable: true })
  await client.indices.create({
    index: copy,
    mappings: found?.mappings as estypes.MappingTypeMapping,
    settings: {
      ...(number_of_shards === undefined ? {} : { number_of_shards }),
      ...(auto_expand_replicas === undefined ? {} : { auto_expand_replicas }),
      ...(refresh_interval === undefined ? {} : { refresh_interval }),
    },
  })
  return copy
}

/**
 * Stores the documents with the client's own `bulk`: `size` per request, a number of requests in flight. Returns the
 * elapsed milliseconds.
 */
export const bulkDocuments = async (
  client: Client,
  index: string,
  documents: readonly RawDocument[],
  size: number,
  atOnce: number,
): Promise<number> => {
  const startedAt = performance.now()
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < documents.length) {
      const some = documents.slice(next, next + size)
      next += size
      const operations = some.flatMap(({ id, routing, source }) => [{ index: { _id: id, routing } }, source])
      const { errors } = await client.bulk({ index, operations })
      if (errors) throw new Error('a document was refused')
    }
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
  return performance.now() - startedAt
}
