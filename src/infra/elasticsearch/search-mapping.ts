import { isDeepStrictEqual } from 'node:util'
import type { estypes } from '@elastic/elasticsearch'
import { ElasticsearchError, ElasticsearchProblem } from './elasticsearch-error.ts'

/** Raised when the mapping changes: indices of another version are not written to. */
const version = 1

/** Kept, not looked for. */
const kept = { index: false, doc_values: false } as const

/**
 * Words come folded and split (projections/search-words.ts), so that this index finds what every other finds; the text stays in the source, from which the
 * words are left out. Short prefixes are terms of their own. Nothing is ranked: no norms.
 */
const properties: Record<string, estypes.MappingProperty> = {
  c: { type: 'keyword' },
  m: { type: 'keyword', ...kept },
  seq: { type: 'long', ...kept },
  time: { type: 'long' },
  place: { type: 'long', index: false },
  from: { type: 'keyword' },
  at: { type: 'keyword', ...kept },
  media: { type: 'boolean' },
  text: { type: 'text', index: false },
  words: {
    type: 'text',
    analyzer: 'whitespace',
    norms: false,
    index_prefixes: { min_chars: 1, max_chars: 2 },
  },
}

/** Words of up to so many characters are indexed under their prefixes. */
export const indexedPrefixChars = 2

/** The mapping of an index of messages from a time on, ms since 1970. */
export const mappingFrom = (from: number): estypes.MappingTypeMapping => ({
  dynamic: 'strict',
  _routing: { required: true },
  _source: { excludes: ['words'] },
  _meta: { confab: { version, from } },
  properties,
})

/** Elasticsearch gives a mapping back without what is the default, and booleans as it likes. */
const shape = (mapping: estypes.MappingTypeMapping | undefined): unknown => {
  const plain = (value: unknown): unknown => {
    if (typeof value !== 'object' || value === null) return String(value)
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, plain(one)]))
  }
  return plain({
    dynamic: mapping?.dynamic,
    routing: mapping?._routing?.required,
    excludes: mapping?._source?.excludes,
    properties: mapping?.properties,
  })
}

/** From which time on an index has messages. Throws ElasticsearchError when it was not made by this version of confab. */
export const fromOf = (index: string, mapping: estypes.MappingTypeMapping | undefined): number => {
  const meta = mapping?._meta?.confab as { version?: unknown; from?: unknown } | undefined
  const fail = (what: string) =>
    new ElasticsearchError(
      ElasticsearchProblem.mapping,
      `the index ${index} ${what}; remove it, and it is built again from the log, or take another prefix`,
    )
  if (typeof meta?.from !== 'number') throw fail('is not one of confab')
  if (meta.version !== version) throw fail(`has version ${meta.version} of the mapping, not ${version}`)
  if (!isDeepStrictEqual(shape(mapping), shape(mappingFrom(meta.from)))) throw fail('has another mapping')
  return meta.from
}
