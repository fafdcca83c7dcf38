import type { Client } from '@elastic/elasticsearch'
import {
  ChangeRejectedError,
  type SearchChange,
  type SearchIndex,
  type ViewRow,
} from '../../projections/index.ts'
import type { BulkWriter } from './bulk-writer.ts'
import {
  ElasticsearchError,
  ElasticsearchProblem,
  type Failure,
  named,
  problemOf,
} from './elasticsearch-error.ts'
import { amendedSource, bulkLines, byMessage, type SearchSource, sourceOf } from './search-documents.ts'
import { type Part, partAt, type SearchParts } from './search-parts.ts'

/** Documents per request, in searches and reads by id. */
const chunk = 1_000

/**
 * Stores messages and their words. A message is a document whose version is the seq of the event that set its text,
 * so an older event cannot change it; a deleted message keeps its document without text. All other fields never
 * change, so any worker writes the same document for an edit or a deletion.
 */
export const elasticsearchIndex = (client: Client, writer: BulkWriter, parts: SearchParts): SearchIndex => {
  const apply = async (changes: readonly SearchChange[]): Promise<void> => {
    const messages = byMessage(changes)
    const sources = new Map<string, SearchSource>()
    const missing: { id: string; c: string }[] = []
    for (const [id, { posted, amended }] of messages)
      if (posted !== undefined) sources.set(id, sourceOf(posted))
      else if (amended !== undefined) missing.push({ id, c: amended.c })
    const current = await parts.current()
    // A message that became a dead letter, or is past the retention, has nothing to amend.
    const stored =
      missing.length === 0 ? new Map<string, Stored>() : await findStored(client, current, missing)

    function* documents(): Generator<string> {
      for (const [id, { amended }] of messages) {
        const posted = sources.get(id)
        const before = stored.get(id)
        if (posted !== undefined) {
          const part = partAt(current, posted.time)
          if (part === undefined) continue
          if (amended === undefined) yield bulkLines(part, posted, posted.seq)
          else yield bulkLines(part, amendedSource(posted, amended), amended.seq)
        } else if (before !== undefined && amended !== undefined && amended.seq > before.version)
          yield bulkLines(before.part, amendedSource(before.source, amended), amended.seq)
      }
    }
    try {
      await writer.write(documents())
    } catch (error) {
      // The index may have been removed, or re-created by hand with another mapping: no message is at fault.
      if (ChangeRejectedError.is(error) || isMissing(error)) {
        parts.forgetSeen()
        await parts.current()
      }
      throw error
    }
  }

  return {
    apply: changes => named(() => apply(changes)),
    clear: () => named(() => parts.clear()),
    rows: () => rowsOf(client, parts),
  }
}

const isMissing = (error: unknown): boolean =>
  ElasticsearchError.is(error) && error.code === ElasticsearchProblem.missing

/** Yields all documents at one point in time. */
async function* rowsOf(client: Client, parts: SearchParts): AsyncGenerator<readonly ViewRow[]> {
  const { alias } = parts
  await named(() => client.indices.refresh({ index: alias }))
  let { id } = await named(() => client.openPointInTime({ index: alias, keep_alive: '5m' }))
  try {
    for (let after: (string | number)[] | undefined; ; ) {
      const { hits, pit_id } = await named(() =>
        client.search<SearchSource>({
          pit: { id, keep_alive: '5m' },
          size: chunk,
          sort: ['_shard_doc'],
          version: true,
          track_total_hits: false,
          allow_partial_search_results: false,
          ...(after === undefined ? {} : { search_after: after }),
        }),
      )
      id = pit_id ?? id
      if (hits.hits.length === 0) return
      yield hits.hits.map(({ _source, _version }) => rowOf(_source as SearchSource, _version ?? 0))
      after = hits.hits.at(-1)?.sort as (string | number)[]
    }
  } finally {
    await client.closePointInTime({ id }).catch(() => {})
  }
}

const rowOf = ({ c, m, seq, from, at, media, text }: SearchSource, rev: number): ViewRow => ({
  c,
  content: `search ${JSON.stringify({ c, m, seq, from, at, media, rev, text: text ?? null })}`,
})

/** A stored message with its index. */
export interface Stored {
  readonly part: Part
  readonly source: SearchSource
  /** The seq of the event that set its text. */
  readonly version: number
}

interface EdgeInterest {
  readonly id: string
  readonly c: string
}

interface Found {
  readonly _id: string
  readonly found?: boolean
  readonly _version?: number
  readonly _source?: SearchSource
  readonly error?: { readonly type?: string; readonly reason?: string }
}

/**
 * Reads messages by id from all indices, newest first, where most edited messages are. Gets see every acknowledged
 * write without a refresh.
 */
export const findStored = async (
  client: Client,
  parts: readonly Part[],
  wanted: readonly EdgeInterest[],
): Promise<Map<string, Stored>> => {
  const stored = new Map<string, Stored>()
  let left = wanted
  for (const part of [...parts].reverse()) {
    for (let i = 0; i < left.length; i += chunk) {
      const docs = left.slice(i, i + chunk).map(({ id, c }) => ({ _index: part.index, _id: id, routing: c }))
      const { docs: answers } = (await client.mget<SearchSource>({ docs })) as { docs: readonly Found[] }
      for (const { _id, found, _version, _source, error } of answers) {
        if (error !== undefined) throw problemOf(asFailure(error))
        if (found === true && _source !== undefined)
          stored.set(_id, { part, source: _source, version: _version ?? 0 })
      }
    }
    left = left.filter(({ id }) => !stored.has(id))
    if (left.length === 0) break
  }
  return stored
}

const asFailure = ({ type = '', reason = '' }: { type?: string; reason?: string }): Failure => ({
  // An error of a document has no status: in every case the index is at fault.
  status: type === 'index_not_found_exception' ? 404 : 503,
  type,
  reason,
})
