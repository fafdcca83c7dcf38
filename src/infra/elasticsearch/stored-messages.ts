import type { Client } from '@elastic/elasticsearch'
import { type Failure, problemOf } from './elasticsearch-error.ts'
import type { SearchSource } from './search-documents.ts'
import type { Part } from './search-parts.ts'

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

/** Messages per request. */
const chunk = 1_000

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
