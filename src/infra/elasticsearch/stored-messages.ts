import type { Client } from '@elastic/elasticsearch'
import { type Failure, problemOf } from './elasticsearch-error.ts'
import type { SearchSource } from './search-documents.ts'
import type { Part } from './search-parts.ts'

/** A message as it stands, with where. */
export interface Stored {
  readonly part: Part
  readonly source: SearchSource
  /** The seq of the event that gave its text. */
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

/** Messages asked for in one request. */
const chunk = 1_000

/**
 * Messages by id, wherever they are: the newest parts first, where most of what is edited is. Gets see every write that was answered, without a refresh.
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
  // A document's error comes without a status: whatever it is, it is the index's fault.
  status: type === 'index_not_found_exception' ? 404 : 503,
  type,
  reason,
})
