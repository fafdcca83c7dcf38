import { fnv1a32 } from '../../events/index.ts'
import { type Phrase, wordsOf } from '../../projections/index.ts'

/**
 * A longer word is indexed as its first characters and a hash of the whole word. Below 255, where the server's
 * whitespace analyzer splits words.
 */
const longest = 200

const ascii = /^[\0-\x7f]*$/
const notOfAsciiWord = /[^a-z0-9]+/g
const tooLong = /[^ ]{201}/

const start = (word: string): string => word.slice(0, longest).toWellFormed()

/** Returns a word in its indexed form. */
export const term = (word: string): string =>
  word.length <= longest ? word : `${start(word)}${fnv1a32(word).toString(36)}`

/** Returns the indexed form of a text: its folded words, separated by spaces. */
export const indexWords = (text: string): string => {
  const words = ascii.test(text)
    ? text.toLowerCase().replace(notOfAsciiWord, ' ')
    : wordsOf(text)
        .map(({ folded }) => folded)
        .join(' ')
  return tooLong.test(words) ? words.split(' ').map(term).join(' ') : words
}

/** Returns the words of a phrase in their indexed form; the last one, if it is a prefix, as that prefix. */
export const termsOf = ({ words, prefix }: Phrase): string[] =>
  words.map((word, i) => (prefix && i === words.length - 1 ? start(word) : term(word)))
