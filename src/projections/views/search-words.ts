import { ConfabError, Limits } from '../../events/index.ts'

/** A word of a text, folded for comparing, with its place in the text (UTF-16 offsets). */
export interface Word {
  readonly folded: string
  readonly start: number
  readonly end: number
}

/**
 * Scripts that write without spaces between words: each of their letters is a word of its own, and a search for several is a search for the phrase. Finds
 * every substring, at the price of more entries; a dictionary would be needed for less.
 */
const unspaced =
  '\\p{scx=Han}\\p{scx=Hira}\\p{scx=Kana}\\p{sc=Thai}\\p{sc=Lao}\\p{sc=Khmr}\\p{sc=Mymr}\\p{sc=Tibt}'
const word = new RegExp(
  `[[${unspaced}]&&[\\p{L}\\p{N}]]\\p{M}*|[[\\p{L}\\p{N}\\p{M}]--[${unspaced}]]+|\\p{Extended_Pictographic}\\p{VS}*`,
  'gv',
)
const asciiWord = /[A-Za-z0-9]+/g
const ascii = /^[\0-\x7f]*$/
/** Accents of Latin, Greek and Cyrillic; points of Hebrew; vowel signs and tatweel of Arabic: people search without them. */
const accents = /[\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0640\u064b-\u065f\u0670]/g
/** Which of its forms a character is shown in, as `\ufe0f` after a heart: some keyboards add it, others do not. By itself it is no word. */
const variations = /\p{VS}/gu
/** What compatibility forms leave that would split a word: `⑴` is `(1)`. */
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

/** The words of a text, in any script, in order: without case, accents, width and other forms of the same letter. */
export const wordsOf = (text: string): Word[] => {
  const words: Word[] = []
  const plain = ascii.test(text)
  for (const match of text.matchAll(plain ? asciiWord : word)) {
    const folded = plain ? match[0].toLowerCase() : fold(match[0])
    if (folded !== '') words.push({ folded, start: match.index, end: match.index + match[0].length })
  }
  return words
}

/** A part of a query that a text must hold: the words of `text`, one after the other. */
export interface SearchClause {
  readonly text: string
  /** The last word may go on. */
  readonly prefix: boolean
}

/**
 * A query as people write it: words, "phrases", prefix*; a text must hold all of them. Every other character is searched for or ignored, as the index does
 * with it in texts; a quote that is not closed goes to the end. So every query has a meaning, if only that nothing is found, as for one without a letter or digit.
 * Throws ConfabError BAD_REQUEST when it is blank or over `Limits.queryChars`.
 */
export const parseSearchQuery = (q: string): SearchClause[] => {
  if (q.length > Limits.queryChars)
    throw new ConfabError('BAD_REQUEST', `A query has at most ${Limits.queryChars} characters.`, {
      field: '/q',
    })
  if (q.trim() === '') throw new ConfabError('BAD_REQUEST', 'This query is blank.', { field: '/q' })
  const clauses: SearchClause[] = []
  for (const [all, phrase] of q.matchAll(/"([^"]*)(?:"\*?|$)|[^\s"]+/g)) {
    const prefix = all.endsWith('*')
    clauses.push({ text: phrase ?? (prefix ? all.slice(0, -1) : all), prefix })
  }
  return clauses
}

/** The folded words of a clause, in a row; the last may go on. */
export interface Phrase {
  readonly words: readonly string[]
  readonly prefix: boolean
}

/**
 * The words that a query asks for; a clause without any, such as punctuation, asks for nothing. Folded words hold neither quotes nor operators, so nothing that
 * a user typed is ever syntax to an index. Throws as `parseSearchQuery` does.
 */
export const phrasesOf = (q: string): Phrase[] =>
  parseSearchQuery(q)
    .map(({ text, prefix }) => ({ words: wordsOf(text).map(({ folded }) => folded), prefix }))
    .filter(({ words }) => words.length > 0)
