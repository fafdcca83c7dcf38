import { ConfabError, Limits } from '../../events/index.ts'
import { Effect, effectOf, keptLetterOf, letterOf } from './search-letters.ts'

/** A word of a text, folded for comparison, with its UTF-16 offsets in the text. */
export interface Word {
  readonly folded: string
  readonly start: number
  readonly end: number
}

const ascii = /^[\0-\x7f]*$/
const asciiWord = /[A-Za-z0-9]+/g

/** Whether the words of a text are its runs of ASCII letters and digits, in lower case. */
export const isAscii = (text: string): boolean => ascii.test(text)

/**
 * Returns the words of a text in any script, in order, without case, accents, width and other variants of a letter.
 * Texts that differ in invisible characters, or in the way that characters are composed, have the same words. The
 * words of a word are itself.
 */
export const wordsOf = (text: string): Word[] => (isAscii(text) ? asciiWordsOf(text) : foldedWordsOf(text))

const asciiWordsOf = (text: string): Word[] => {
  const words: Word[] = []
  for (const { 0: word, index } of text.matchAll(asciiWord))
    words.push({ folded: word.toLowerCase(), start: index, end: index + word.length })
  return words
}

/** Further marks of a letter are ignored: Unicode's bound for streams (UAX #15), so that ordering them is cheap. */
const mostMarks = 30

const foldedWordsOf = (text: string): Word[] => {
  const words: { folded: string; start: number; end: number }[] = []
  let open: (typeof words)[number] | undefined
  /** The open word: what precedes its last letter, the letter, and the marks of the letter. */
  let [before, letter, marks] = ['', '', '']
  let isSingle = false
  let composes = false

  const close = (): void => {
    if (open !== undefined)
      open.folded = composes ? composed(before + letter + marks) : before + letter + marks
    open = undefined
    before = letter = marks = ''
    isSingle = composes = false
  }
  const extend = (start: number, end: number): void => {
    if (open !== undefined) open.end = end
    else {
      open = { folded: '', start, end }
      words.push(open)
    }
  }

  const take = (code: number, effect: Effect, start: number, end: number): void => {
    switch (effect) {
      case Effect.separator:
        close()
        return
      case Effect.invisible:
        return
      case Effect.accent: {
        const owner = open ?? words.at(-1)
        if (owner === undefined || (open === undefined && owner.end !== start)) return
        owner.end = end
        letter = keptLetterOf(letter, code) ?? letter
        return
      }
      case Effect.letter:
      case Effect.composing:
        if (isSingle) close()
        before += letter + marks
        letter = letterOf(code)
        marks = ''
        composes ||= effect === Effect.composing
        extend(start, end)
        return
      case Effect.mark:
        if (marks.length >= mostMarks) return
        marks += letterOf(code)
        composes = true
        extend(start, end)
        return
      case Effect.single: {
        const single = letterOf(code)
        // Two of this vowel of Thai look like another vowel, and are typed for it.
        const isDoubled = single === 'เ' && letter === single && marks === ''
        if (!isDoubled) close()
        isSingle = true
        letter = isDoubled ? 'แ' : single
        extend(start, end)
        return
      }
      case Effect.several:
        for (const char of letterOf(code)) {
          const inner = char.codePointAt(0) ?? 0
          take(inner, effectOf(inner), start, end)
        }
    }
  }

  for (let i = 0; i < text.length; ) {
    const code = text.codePointAt(i) ?? 0
    const end = i + (code > 0xffff ? 2 : 1)
    take(code, effectOf(code), i, end)
    i = end
  }
  close()
  return words
}

const thaiOrLao = /^[[\u0e00-\u0eff]&&\p{L}]\p{M}*$/v

/**
 * Composes letters with their marks, which may be in any order. Unicode gives no order to most marks of Thai and Lao,
 * and keyboards write them in several.
 */
const composed = (word: string): string =>
  thaiOrLao.test(word)
    ? word.slice(0, 1) + [...word.slice(1).normalize('NFD')].sort().join('')
    : word.normalize('NFC')

/** One part of a query that a text must contain: the words of `text`, consecutively. */
export interface SearchClause {
  readonly text: string
  /** Whether the last word is a prefix. */
  readonly prefix: boolean
}

const invisible = /\p{Default_Ignorable_Code_Point}/gu
/** Quotes and asterisks also in the width of East Asian keyboards. */
const clause = /["＂]([^"＂]*)(?:["＂][*＊]?|$)|[^\s"＂]+/g
const asterisk = /[*＊]$/

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
  for (const [all, phrase] of q.replace(invisible, '').matchAll(clause)) {
    const prefix = asterisk.test(all)
    clauses.push({ text: phrase ?? (prefix ? all.slice(0, -1) : all), prefix })
  }
  return clauses
}

/** The folded words of a clause, consecutive; the last may be a prefix. */
export interface Phrase {
  readonly words: readonly string[]
  readonly prefix: boolean
}

/** Words in the phrases of a query. Only ligatures fold to more words than the characters of a query. */
const mostWords = Limits.queryChars

/**
 * Returns the phrases of a query, each once; a clause without words, such as punctuation, adds none. Folded words
 * contain neither quotes nor operators, so user input never becomes index syntax. Throws as `parseSearchQuery` does,
 * and ConfabError BAD_REQUEST for too many words.
 */
export const phrasesOf = (q: string): Phrase[] => {
  const phrases = new Map<string, Phrase>()
  let count = 0
  for (const { text, prefix } of parseSearchQuery(q)) {
    const words = wordsOf(text).map(({ folded }) => folded)
    const key = `${words.join(' ')}${prefix ? '*' : ''}`
    if (words.length === 0 || phrases.has(key)) continue
    phrases.set(key, { words, prefix })
    count += words.length
  }
  if (count > mostWords)
    throw new ConfabError('BAD_REQUEST', `q: at most ${mostWords} words.`, { field: '/q' })
  return [...phrases.values()]
}
