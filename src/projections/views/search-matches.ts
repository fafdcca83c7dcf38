import { type Phrase, type Word, wordsOf } from './search-words.ts'

/** A part of a text, by UTF-16 offsets. */
export interface Span {
  readonly start: number
  readonly end: number
}

/**
 * Prepares the search for the phrases of a query in texts. The result yields the matches in the words of a text, in
 * order, overlapping and adjacent ones as one.
 */
export const matcherOf = (
  phrases: readonly Phrase[],
): ((words: readonly Word[]) => Generator<Span, undefined>) => {
  const automaton = new PhraseAutomaton(phrases)
  return function* (words) {
    const lengths = automaton.matchLengths(words)
    let open: { start: number; end: number } | undefined
    for (let i = 0; i < words.length; i++) {
      const [first, final] = [words[i], words[i + (lengths[i] ?? 0) - 1]]
      if (lengths[i] === 0 || first === undefined || final === undefined) continue
      if (open !== undefined && first.start <= open.end) open.end = Math.max(open.end, final.end)
      else {
        if (open !== undefined) yield open
        open = { start: first.start, end: final.end }
      }
    }
    if (open !== undefined) yield open
    return undefined
  }
}

/** Prepares the check whether a text contains all phrases. */
export const holderOf = (phrases: readonly Phrase[]): ((text: string) => boolean) => {
  const automaton = new PhraseAutomaton(phrases)
  return text => automaton.holdsAll(wordsOf(text))
}

/** A set of the words of all phrases: one bit each. */
type Bits = Uint32Array

const has = (bits: Bits): boolean => bits.some(number => number !== 0)

/**
 * The phrases of a query as one automaton, the shift-and of Baeza-Yates and Gonnet on words. Its state has one bit for
 * each word of each phrase. It reads a text from the last word to the first, and phrases too, so that a phrase is
 * complete at the word where its match starts. A word of a text costs a few operations for each 32 words of the query,
 * however query and text repeat themselves.
 */
class PhraseAutomaton {
  /** Words with the bits that they may set. */
  readonly #words = new Map<string, Bits>()
  readonly #prefixes = new Map<string, Bits>()
  /** The lengths of the prefixes. */
  readonly #prefixLengths: readonly number[]
  /** Whether a word of the query starts with a UTF-16 unit of these 8 bits. */
  readonly #isInitial = new Uint8Array(256)
  /** Bits of the last words of the phrases, with which a match begins. */
  readonly #last: Bits
  /** Bits of the first words of the phrases, with which a match is complete. */
  readonly #first: Bits
  /** The number of words of the phrase of each bit. */
  readonly #lengths: Uint16Array
  readonly #state: Bits
  readonly #allowed: Bits

  constructor(phrases: readonly Phrase[]) {
    const count = phrases.reduce((sum, { words }) => sum + words.length, 0)
    const empty = (): Bits => new Uint32Array(Math.ceil(count / 32))
    this.#last = empty()
    this.#first = empty()
    this.#state = empty()
    this.#allowed = empty()
    this.#lengths = new Uint16Array(count)
    const add = (bits: Bits, bit: number): void => {
      bits[bit >>> 5]! |= 1 << (bit & 31)
    }
    let bit = 0
    // The longest first: of several complete phrases, the lowest bit is then of a longest one.
    for (const { words, prefix } of phrases.toSorted((a, b) => b.words.length - a.words.length)) {
      add(this.#last, bit)
      for (const [index, word] of words.toReversed().entries()) {
        const table = prefix && index === 0 ? this.#prefixes : this.#words
        const bits = table.get(word) ?? empty()
        table.set(word, bits)
        add(bits, bit)
        this.#isInitial[word.charCodeAt(0) & 0xff] = 1
        this.#lengths[bit++] = words.length
      }
      add(this.#first, bit - 1)
    }
    this.#prefixLengths = [...new Set(Array.from(this.#prefixes.keys(), ({ length }) => length))]
  }

  /** Returns, for each word of a text, the number of words of the longest match that starts there; 0: none. */
  matchLengths(words: readonly Word[]): Uint16Array {
    const lengths = new Uint16Array(words.length)
    this.#state.fill(0)
    for (let i = words.length - 1; i >= 0; i--)
      if (this.#read(words[i]!.folded)) lengths[i] = this.#completeLength()
    return lengths
  }

  holdsAll(words: readonly Word[]): boolean {
    const missing = this.#first.slice()
    this.#state.fill(0)
    for (let i = words.length - 1; i >= 0 && has(missing); i--)
      if (this.#read(words[i]!.folded))
        for (let n = 0; n < missing.length; n++) missing[n]! &= ~this.#state[n]!
    return !has(missing)
  }

  /** Reads the next word. Returns whether any phrase has matched up to it. */
  #read(folded: string): boolean {
    const state = this.#state
    const allowed = this.#allowedBy(folded)
    if (allowed === undefined) {
      state.fill(0)
      return false
    }
    let carry = 0
    let isAny = false
    for (let n = 0; n < state.length; n++) {
      const before = state[n]!
      // A bit that leaves its phrase reaches the last word of the next phrase, which may match anywhere.
      state[n] = ((before << 1) | carry | this.#last[n]!) & allowed[n]!
      carry = before >>> 31
      isAny ||= state[n] !== 0
    }
    return isAny
  }

  /** Returns the bits that a word of a text may set; undefined for none. Most words have another initial. */
  #allowedBy(folded: string): Bits | undefined {
    if (this.#isInitial[folded.charCodeAt(0) & 0xff] === 0) return undefined
    const whole = this.#words.get(folded)
    if (this.#prefixLengths.length === 0) return whole
    const allowed = this.#allowed
    allowed.fill(0)
    const add = (bits: Bits | undefined): void => {
      if (bits !== undefined) for (let n = 0; n < allowed.length; n++) allowed[n]! |= bits[n]!
    }
    add(whole)
    for (const length of this.#prefixLengths)
      if (length <= folded.length) add(this.#prefixes.get(folded.slice(0, length)))
    return allowed
  }

  /** Returns the number of words of the longest phrase that is complete; 0 for none. */
  #completeLength(): number {
    for (let n = 0; n < this.#state.length; n++) {
      const complete = this.#state[n]! & this.#first[n]!
      if (complete !== 0) return this.#lengths[n * 32 + 31 - Math.clz32(complete & -complete)]!
    }
    return 0
  }
}
