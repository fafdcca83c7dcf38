import { parseSearchQuery } from './search-query.ts'
import { wordsOf } from './search-words.ts'

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
