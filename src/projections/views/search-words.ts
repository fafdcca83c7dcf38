import { ConfabError, Limits } from '../../events/index.ts'

/** A word of a text, folded for comparison, with its UTF-16 offsets in the text. */
export interface Word {
  readonly folded: string
  readonly start: number
  readonly end: number
}

/**
 * Scripts written without spaces: each letter is a word, and a search for several letters is a phrase search. This
 * finds every substring at the price of more index entries; fewer would need a dictionary.
 */
const unspaced =
  '\\p{scx=Han}\\p{scx=Hira}\\p{scx=Kana}\\p{sc=Thai}\\p{sc=Lao}\\p{sc=Khmr}\\p{sc=Mymr}\\p{sc=Tibt}'
const word = new RegExp(
  `[[${unspaced}]&&[\\p{L}\\p{N}]]\\p{M}*|[[\\p{L}\\p{N}\\p{M}]--[${unspaced}]]+|\\p{Extended_Pictographic}\\p{VS}*`,
  'gv',
)
const asciiWord = /[A-Za-z0-9]+/g
const ascii = /^[\0-\x7f]*$/
/**
 * Accents of Latin, Greek and Cyrillic, points of Hebrew, vowel signs and tatweel of Arabic: users search without
 * them.
 */
const accents = /[\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0640\u064b-\u065f\u0670]/g
/**
 * Variation selectors, such as `\ufe0f` after a heart: some keyboards add them, others do not. They are not words.
 */
const variations = /\p{VS}/gu
/** Separators that compatibility forms leave inside a word: `⑴` becomes `(1)`. */
const separators = /[\0-\x2f\x3a-\x60\x7b-\x7f]/g

const fold = (raw: string): string =>
  raw
    .normalize('NFKD')
    .replace(accents, '')
    .replace(variations, '')
    .normalize('NFC')
    .toLowerCase()
    .replaceAll('ß', 'ss')
    .replaceAll('ς', 'σ')
    .replace(separators, '')

/**
 * Returns the words of a text in any script, in order, without case, accents, width and other variants of a letter.
 */
export const wordsOf = (text: string): Word[] => {
  const words: Word[] = []
  const plain = ascii.test(text)
  for (const match of text.matchAll(plain ? asciiWord : word)) {
    const folded = plain ? match[0].toLowerCase() : fold(match[0])
    if (folded !== '') words.push({ folded, start: match.index, end: match.index + match[0].length })
  }
  return words
}

/** One part of a query that a text must contain: the words of `text`, consecutively. */
export interface SearchClause {
  readonly text: string
  /** Whether the last word is a prefix. */
  readonly prefix: boolean
}

/**
 * Parses a query of words, "phrases" and prefix*; a text must contain all of them. Other characters are treated as in
 * texts, and an unclosed quote extends to the end, so every query is valid; one without a letter or digit finds
 * nothing. Throws ConfabError BAD_REQUEST for a blank query or one over `Limits.queryChars`.
 */
export const parseSearchQuery = (q: string): SearchClause[] => {
  if (q.length > Limits.queryChars)
    throw new ConfabError('BAD_REQUEST', `A query may have at most ${Limits.queryChars} characters.`, {
      field: '/q',
    })
  if (q.trim() === '') throw new ConfabError('BAD_REQUEST', 'The query is blank.', { field: '/q' })
  const clauses: SearchClause[] = []
  for (const [all, phrase] of q.matchAll(/"([^"]*)(?:"\*?|$)|[^\s"]+/g)) {
    const prefix = all.endsWith('*')
    clauses.push({ text: phrase ?? (prefix ? all.slice(0, -1) : all), prefix })
  }
  return clauses
}

/** The folded words of a clause, consecutive; the last may be a prefix. */
export interface Phrase {
  readonly words: readonly string[]
  readonly prefix: boolean
}

/**
 * Returns the phrases of a query; a clause without words, such as punctuation, adds none. Folded words contain
 * neither quotes nor operators, so user input never becomes index syntax. Throws as `parseSearchQuery` does.
 */
export const phrasesOf = (q: string): Phrase[] =>
  parseSearchQuery(q)
    .map(({ text, prefix }) => ({ words: wordsOf(text).map(({ folded }) => folded), prefix }))
    .filter(({ words }) => words.length > 0)
