import { type Phrase, type Word, wordsOf } from './search-words.ts'

/** A part of a text, by UTF-16 offsets. */
export interface Span {
  readonly start: number
  readonly end: number
}

/**
 * Prepares the search for the phrases of a query in texts; the result returns the matches in the words of a text, in
 * order, overlapping and adjacent ones as one. A word of a text is looked up once among the words of the query, and
 * longer phrases are compared by numbers: a long query in a long text takes little more time than a short one.
 */
export const matcherOf = (phrases: readonly Phrase[]): ((words: readonly Word[]) => Span[]) => {
  const lengthsIn = matchLengthsOf(phrases)
  return words => {
    const spans: { start: number; end: number }[] = []
    const lengths = lengthsIn(words)
    for (let i = 0; i < words.length; i++) {
      const [first, final] = [words[i], words[i + (lengths[i] ?? 0) - 1]]
      if (lengths[i] === 0 || first === undefined || final === undefined) continue
      const last = spans.at(-1)
      if (last !== undefined && first.start <= last.end) last.end = Math.max(last.end, final.end)
      else spans.push({ start: first.start, end: final.end })
    }
    return spans
  }
}

/** Whether a text contains all phrases. */
export const holdsAll = (text: string, phrases: readonly Phrase[]): boolean => {
  const words = wordsOf(text)
  return phrases.every(phrase => matcherOf([phrase])(words).length > 0)
}

/** Number of a word that the query does not have. */
const unknown = -1

/** Prepares finding, for each word of a text, the number of words of the longest match that starts there; 0: none. */
const matchLengthsOf = (phrases: readonly Phrase[]): ((words: readonly Word[]) => number[]) => {
  const known = [...new Set(phrases.flatMap(({ words }) => words))].sort()
  const numbered = phrases.map(({ words, prefix }) => ({
    whole: (prefix ? words.slice(0, -1) : words).map(word => numberIn(known, word)),
    prefix: prefix ? words.at(-1) : undefined,
    length: words.length,
  }))
  const single = numbered.filter(({ length }) => length === 1)
  const longer = numbered.filter(({ length }) => length > 1)
  const isMatch = new Uint8Array(known.length)
  for (const number of single.flatMap(({ whole }) => whole)) isMatch[number] = 1
  const prefixes = withoutLonger(single.flatMap(({ prefix }) => prefix ?? []).sort())
  const isFirst = new Uint8Array(256)
  for (const word of known) isFirst[word.charCodeAt(0) & 0xff] = 1

  return words => {
    const lengths: number[] = []
    const numbers: number[] = []
    for (const { folded } of words) {
      // Most words of a text start with another letter.
      const isCandidate = isFirst[folded.charCodeAt(0) & 0xff] === 1
      const number = isCandidate ? numberIn(known, folded) : unknown
      numbers.push(number)
      lengths.push(isCandidate && (isMatch[number] === 1 || startsWithAny(folded, prefixes)) ? 1 : 0)
    }
    for (const { whole, prefix, length } of longer)
      for (let i = 0; i + length <= words.length; i++) {
        let same = 0
        while (same < whole.length && numbers[i + same] === whole[same]) same++
        if (same < whole.length) continue
        if (prefix !== undefined && !words[i + same]?.folded.startsWith(prefix)) continue
        lengths[i] = Math.max(lengths[i] ?? 0, length)
      }
    return lengths
  }
}

/** Returns sorted prefixes without those that start with another one. */
const withoutLonger = (sorted: readonly string[]): string[] => {
  const prefixes: string[] = []
  for (const prefix of sorted)
    if (prefixes.length === 0 || !prefix.startsWith(prefixes.at(-1) ?? '')) prefixes.push(prefix)
  return prefixes
}

/** Returns the index of the last sorted word that is not after a word: the only one that can equal or begin it. */
const lastUpTo = (sorted: readonly string[], word: string): number => {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((sorted[middle] ?? '') <= word) low = middle + 1
    else high = middle
  }
  return low - 1
}

const numberIn = (sorted: readonly string[], word: string): number => {
  const number = lastUpTo(sorted, word)
  return sorted[number] === word ? number : unknown
}

const startsWithAny = (word: string, prefixes: readonly string[]): boolean => {
  const prefix = prefixes[lastUpTo(prefixes, word)]
  return prefix !== undefined && word.startsWith(prefix)
}
