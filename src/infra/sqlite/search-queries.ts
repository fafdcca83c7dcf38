import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { ConfabError, type SearchHit } from '../../events/index.ts'
import {
  decodeCursor,
  encodeCursor,
  highlighterOf,
  holderOf,
  type Phrase,
  pageChars,
  phrasesOf,
  type SearchQueries,
  type SearchQuery,
} from '../../projections/index.ts'
import { coded } from './database.ts'
import { conversationTag, firstIdAt, mediaTag, senderTag } from './search-index.ts'
import { tablesOf } from './view-tables.ts'

/**
 * Up to this many conversations are searched by tag, at 40 µs each. More are compared with the words' hits, which is
 * cheap unless a word is common everywhere else.
 */
const taggedConversations = 256

/**
 * Words of a query that the index looks up. For each candidate, the index compares the positions of the words of a
 * phrase: words of the query times words of the text. The other words are looked for in the texts of the candidates.
 */
const mostIndexed = 16
/** Characters of candidates' texts that one page reads; about 0.1 s. Then the page ends, with a cursor. */
const mostReadChars = 1024 * 1024

interface HitRow {
  id: bigint
  c: string
  seq: bigint
  m: string
  from: string
  at: string
  text: string
}

/**
 * Returns the phrases that the index looks up, at most `mostIndexed` words: the phrases with most characters first, as
 * long words are rare. A phrase is cut off at the bound.
 */
const indexedOf = (phrases: readonly Phrase[]): readonly Phrase[] => {
  const chars = ({ words }: Phrase): number => words.reduce((sum, { length }) => sum + length, 0)
  let left = mostIndexed
  const indexed: Phrase[] = []
  for (const { words, prefix } of phrases.toSorted((a, b) => chars(b) - chars(a))) {
    if (left === 0) break
    indexed.push({ words: words.slice(0, left), prefix: prefix && words.length <= left })
    left = Math.max(0, left - words.length)
  }
  return indexed
}

const matchOf = (phrases: readonly Phrase[], query: SearchQuery): string => {
  const words = phrases.map(({ words, prefix }) => `"${words.join(' ')}"${prefix ? ' *' : ''}`)
  const clauses = [`words : (${words.join(' AND ')})`]
  if (query.conversations.length <= taggedConversations)
    clauses.push(`tags : (${query.conversations.map(conversationTag).join(' OR ')})`)
  if (query.from !== undefined) clauses.push(`tags : ${senderTag(query.from)}`)
  if (query.hasMedia === true) clauses.push(`tags : ${mediaTag}`)
  return clauses.join(' AND ')
}

/** Returns a time in ms, or the bound itself; null for an invalid time. */
const boundOf = (ms: number | undefined, none: bigint, field: string): bigint => {
  if (ms === undefined) return none
  if (Number.isNaN(ms))
    throw new ConfabError(
      'BAD_REQUEST',
      'This is not a valid time. Use ISO 8601, such as 2026-11-24T10:00:00Z.',
      { field },
    )
  return firstIdAt(ms)
}

const idOfCursor = (cursor: string): bigint => {
  const [id = ''] = decodeCursor(cursor, 1)
  if (!/^[0-9a-z]{1,13}$/.test(id)) throw new ConfabError('BAD_REQUEST', undefined, { field: '/cursor' })
  let value = 0n
  for (const digit of id) value = value * 36n + BigInt(Number.parseInt(digit, 36))
  return value < maxId ? value : maxId
}

const maxId = 2n ** 63n - 1n
/** JSON has no Infinity: no event has this seq. */
const never = Number.MAX_SAFE_INTEGER

export const sqliteSearchQueries = (db: DatabaseSync, generation: number): SearchQueries => {
  const { searchMessage, searchWords } = tablesOf(generation)
  const selectOf = (more = ''): StatementSync => {
    const statement = db.prepare(`
    SELECT s.id, s.c, s.seq, s.m, s.sender AS "from", s.at, s.text
    FROM ${searchWords} AS w CROSS JOIN ${searchMessage} AS s ON s.id = w.rowid
    WHERE ${searchWords} MATCH ? AND w.rowid >= ? AND w.rowid < min(?, ?)
      AND s.text IS NOT NULL AND s.c IN (SELECT value FROM json_each(?))
      AND s.sender = ifnull(?, s.sender) AND s.media = ifnull(?, s.media)${more}
    ORDER BY w.rowid DESC`)
    statement.setReadBigInts(true)
    return statement
  }
  const select = selectOf()
  // Each pair of the list is a conversation and the first seq to find.
  const selectFrom = selectOf(
    ` AND s.seq >= ifnull((SELECT value ->> 1 FROM json_each(?) WHERE value ->> 0 = s.c), 0)`,
  )
  return {
    search: async query =>
      coded(() => {
        const phrases = phrasesOf(query.q)
        const low = boundOf(query.after, 0n, '/after')
        const high = boundOf(query.before, maxId, '/before')
        if (phrases.length === 0 || query.conversations.length === 0) return { hits: [] }
        const count = phrases.reduce((sum, { words }) => sum + words.length, 0)
        const isIndexed = count <= mostIndexed
        const { firsts } = query
        const rows = (firsts === undefined ? select : selectFrom).iterate(
          matchOf(isIndexed ? phrases : indexedOf(phrases), query),
          low,
          high,
          query.cursor === undefined ? maxId : idOfCursor(query.cursor),
          JSON.stringify(query.conversations),
          query.from ?? null,
          query.hasMedia === undefined ? null : query.hasMedia ? 1 : 0,
          ...(firsts === undefined
            ? []
            : [JSON.stringify([...firsts].map(([c, seq]) => [c, Math.min(seq, never)]))]),
        ) as unknown as Iterable<HitRow>
        const holdsAll = isIndexed ? () => true : holderOf(phrases)
        const highlight = highlighterOf(phrases)
        const hits: SearchHit[] = []
        let place: bigint | undefined
        let read = 0
        let shown = 0
        for (const { id, seq, ...row } of rows) {
          if (
            place !== undefined &&
            (hits.length === query.limit || shown > pageChars || read > mostReadChars)
          )
            return { hits, cursor: encodeCursor([place.toString(36)]) }
          place = id
          read += row.text.length
          if (!holdsAll(row.text)) continue
          shown += row.text.length
          hits.push({ ...row, seq: Number(seq), highlight: highlight(row.text) })
        }
        return { hits }
      }),
  }
}
