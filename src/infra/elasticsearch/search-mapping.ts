import { isDeepStrictEqual } from 'node:util'
import type { estypes } from '@elastic/elasticsearch'
import { fnv1a32 } from '../../events/index.ts'
import { isAscii, type Phrase, wordsOf } from '../../projections/index.ts'
import { ElasticsearchError, ElasticsearchProblem } from './elasticsearch-error.ts'

/** Increased when the mapping changes: indices of another version are not written. */
const version = 1

/** Stored, not searchable. */
const kept = { index: false, doc_values: false } as const

/**
 * Words are folded and split by projections/views/search-words.ts, so this index finds what every other finds. The
 * source holds the text without the words. Short prefixes are terms of their own. Nothing is ranked, so norms are
 * off.
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

/** Words are indexed under their prefixes of up to this many characters. */
export const indexedPrefixChars = 2

/** Returns the mapping of an index of messages from a time on, ms since 1970. */
export const mappingFrom = (from: number): estypes.MappingTypeMapping => ({
  dynamic: 'strict',
  _routing: { required: true },
  _source: { excludes: ['words'] },
  _meta: { confab: { version, from } },
  properties,
})

/** Normalises a mapping: Elasticsearch omits defaults and varies the form of booleans. */
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

/** Returns the time from which an index has messages. Throws ElasticsearchError when another version created it. */
export const fromOf = (index: string, mapping: estypes.MappingTypeMapping | undefined): number => {
  const meta = mapping?._meta?.confab as { version?: unknown; from?: unknown } | undefined
  const fail = (what: string) =>
    new ElasticsearchError(
      ElasticsearchProblem.mapping,
      `the index ${index} ${what}: remove it, and confab rebuilds it from the log, or set another prefix`,
    )
  if (typeof meta?.from !== 'number') throw fail('was not created by confab')
  if (meta.version !== version) throw fail(`has version ${meta.version} of the mapping, not ${version}`)
  if (!isDeepStrictEqual(shape(mapping), shape(mappingFrom(meta.from)))) throw fail('has another mapping')
  return meta.from
}

/**
 * A longer word is indexed as its first characters and a hash of the whole word. Below 255, where the server's
 * whitespace analyzer splits words.
 */
const longest = 200

const notOfAsciiWord = /[^a-z0-9]+/g

/** Whether a word of a text in its indexed form is too long. A pattern would try each letter as the first one. */
const hasLongWord = (words: string): boolean => {
  for (let start = 0; ; ) {
    const end = words.indexOf(' ', start)
    if ((end < 0 ? words.length : end) - start > longest) return true
    if (end < 0) return false
    start = end + 1
  }
}

const start = (word: string): string => word.slice(0, longest).toWellFormed()

/** Returns a word in its indexed form. */
export const term = (word: string): string =>
  word.length <= longest ? word : `${start(word)}${fnv1a32(word).toString(36)}`

/** Returns the indexed form of a text: its folded words, separated by spaces. */
export const indexWords = (text: string): string => {
  const words = isAscii(text)
    ? text.toLowerCase().replace(notOfAsciiWord, ' ')
    : wordsOf(text)
        .map(({ folded }) => folded)
        .join(' ')
  return hasLongWord(words) ? words.split(' ').map(term).join(' ') : words
}

/** Returns the words of a phrase in their indexed form; the last one, if it is a prefix, as that prefix. */
export const termsOf = ({ words, prefix }: Phrase): string[] =>
  words.map((word, i) => (prefix && i === words.length - 1 ? start(word) : term(word)))
