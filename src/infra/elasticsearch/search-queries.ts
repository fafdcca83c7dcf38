import type { Client, estypes } from '@elastic/elasticsearch'
import { ConfabError, type SearchHit } from '../../events/index.ts'
import {
  highlighterOf,
  holderOf,
  type Phrase,
  pageChars,
  phrasesOf,
  type SearchQueries,
  type SearchQuery,
} from '../../projections/index.ts'
import { answered } from './elasticsearch-error.ts'
import type { SearchSource } from './search-documents.ts'
import { indexedPrefixChars, termsOf } from './search-mapping.ts'

/** The end of a page: time and tie-breaker of its last message. */
export type Place = readonly [time: number, place: number]

const encode = (place: Place): string => Buffer.from(place.join('\n')).toString('base64url')

/** Encodes an opaque cursor. */
export const encodeCursor = encode

/** Decodes a cursor. Throws ConfabError BAD_REQUEST when it is invalid. */
export const decodeCursor = (cursor: string): Place => {
  const [time = Number.NaN, place = Number.NaN] = Buffer.from(cursor, 'base64url')
    .toString()
    .split('\n')
    .map(Number)
  if (!Number.isSafeInteger(time) || !Number.isSafeInteger(place) || encode([time, place]) !== cursor)
    throw new ConfabError(
      'BAD_REQUEST',
      'This is not a valid cursor. Use the `cursor` of an earlier answer.',
      { field: '/cursor' },
    )
  return [time, place]
}

/** Above this length the shards of the conversations are not named: a request line holds 4 KiB. */
const routingChars = 2_000
/** Maximum number of rounds past messages that matched the words but not the phrase. */
const mostRounds = 10

type Query = estypes.QueryDslQueryContainer

/**
 * A prefix longer than the indexed ones, at the end of a phrase, is matched by its words in any position; the texts
 * are checked afterwards.
 */
const isLoose = ({ words, prefix }: Phrase): boolean =>
  prefix && words.length > 1 && (words.at(-1)?.length ?? 0) > indexedPrefixChars

const inARow = (words: readonly string[]): Query =>
  words.length === 1
    ? { term: { words: words[0] ?? '' } }
    : { match_phrase: { words: { query: words.join(' '), analyzer: 'whitespace' } } }

const clausesOf = (phrase: Phrase): Query[] => {
  const words = termsOf(phrase)
  if (!phrase.prefix) return [inARow(words)]
  const last = words.at(-1) ?? ''
  if (words.length === 1) return [{ prefix: { words: last } }]
  if (isLoose(phrase)) return [inARow(words.slice(0, -1)), { prefix: { words: last } }]
  return [{ match_phrase_prefix: { words: { query: words.join(' '), analyzer: 'whitespace' } } }]
}

/** Returns a time in whole ms; every message lies between the bounds. */
const boundOf = (ms: number, field: string): number => {
  if (Number.isNaN(ms))
    throw new ConfabError(
      'BAD_REQUEST',
      'This is not a valid time. Use ISO 8601, such as 2026-11-24T10:00:00Z.',
      { field },
    )
  return Math.ceil(Math.min(Math.max(ms, -8.64e15), 8.64e15))
}

const filtersOf = (query: SearchQuery, phrases: readonly Phrase[]): Query[] => {
  const { after, before, from, hasMedia, conversations } = query
  const time = {
    ...(after === undefined ? {} : { gte: boundOf(after, '/after') }),
    ...(before === undefined ? {} : { lt: boundOf(before, '/before') }),
  }
  return [
    ...phrases.flatMap(clausesOf),
    { terms: { c: [...conversations] } },
    ...(Object.keys(time).length === 0 ? [] : [{ range: { time } }]),
    ...(from === undefined ? [] : [{ term: { from: from.toWellFormed() } }]),
    ...(hasMedia === undefined ? [] : [{ term: { media: hasMedia } }]),
  ]
}

interface Hit {
  readonly id: string
  readonly source: SearchSource
  readonly place: Place
}

/**
 * Leaves out messages from before the first one to find, and the earlier messages of their conversations. An index has
 * no `seq` to search by; the time of messages grows with it.
 */
const withoutEarly = (early: readonly Hit[]): Query => {
  const times = new Map<string, number>()
  for (const { source, place } of early)
    times.set(source.c, Math.max(place[0], times.get(source.c) ?? place[0]))
  const before = Array.from(
    times,
    ([c, time]): Query => ({
      bool: { filter: [{ term: { c } }, { range: { time: { lt: time } } }] },
    }),
  )
  return { bool: { must_not: [{ ids: { values: early.map(({ id }) => id) } }, ...before] } }
}

export const elasticsearchQueries = (client: Client, alias: string): SearchQueries => {
  const hitsAfter = async (
    filter: Query[],
    routing: string,
    size: number,
    after: Place | undefined,
  ): Promise<Hit[]> => {
    const { hits } = await client.search<SearchSource>({
      index: alias,
      ...(routing.length <= routingChars ? { routing } : {}),
      query: { bool: { filter } },
      sort: [{ time: 'desc' }, { place: 'desc' }],
      size,
      track_total_hits: false,
      allow_partial_search_results: false,
      _source: ['c', 'm', 'seq', 'from', 'at', 'text'],
      ...(after === undefined ? {} : { search_after: [...after] }),
    })
    return hits.hits.map(({ _id, _source, sort }) => ({
      id: String(_id),
      source: _source as SearchSource,
      place: sort as unknown as Place,
    }))
  }

  return {
    search: async query => {
      const phrases = phrasesOf(query.q)
      const filter = filtersOf(query, phrases)
      let after = query.cursor === undefined ? undefined : decodeCursor(query.cursor)
      const { conversations, limit, firsts } = query
      const isEarly = ({ c, seq }: SearchSource): boolean => seq < (firsts?.get(c) ?? 0)
      if (phrases.length === 0 || conversations.length === 0) return { hits: [] }
      const loose = phrases.filter(isLoose)
      const holdsAll = loose.length === 0 ? () => true : holderOf(loose)
      const highlight = highlighterOf(phrases)
      return answered(async () => {
        const hits: SearchHit[] = []
        let shown = 0
        for (let round = 0; round < mostRounds; ) {
          const found = await hitsAfter(filter, conversations.join(','), limit + 1, after)
          const early = found.filter(({ source }) => isEarly(source))
          if (early.length > 0) {
            // Each search more is without the earlier messages of at least one conversation.
            filter.push(withoutEarly(early))
            continue
          }
          round++
          for (const { source, place } of found.slice(0, limit)) {
            if (hits.length === limit || shown > pageChars)
              return { hits, cursor: encodeCursor(after as Place) }
            after = place
            const { c, m, seq, from, at, text = '' } = source
            if (!holdsAll(text)) continue
            shown += text.length
            hits.push({ c, seq, m, from, at, text, highlight: highlight(text) })
          }
          if (found.length <= limit) return { hits }
          if (hits.length === limit) break
        }
        return { hits, cursor: encodeCursor(after as Place) }
      })
    },
  }
}
