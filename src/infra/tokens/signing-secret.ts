import { type OptionType, ValueError } from '../../base/option.ts'
import { text } from '../../base/option-types.ts'

/** Rows whose neighbours follow each other in secrets that people type. */
const rows = ['abcdefghijklmnopqrstuvwxyz', '01234567890', 'qwertyuiop', 'asdfghjkl', 'zxcvbnm']

const sameStep = (one: string, two: string, three: string): boolean => {
  if (one === two && two === three) return true
  return rows.some(row => {
    const [a, b, c] = [row.indexOf(one), row.indexOf(two), row.indexOf(three)]
    return a >= 0 && b >= 0 && c >= 0 && Math.abs(b - a) === 1 && c - b === b - a
  })
}

/** Length of a repeated part that is rare in random values of this many different characters. */
const repetitionOf = (characters: number): number => (characters > 16 ? 3 : 4)

/** For each character: whether it follows from those before it, as a repetition or in a row of a keyboard. */
const predictedIn = (secret: string): readonly boolean[] => {
  const lower = secret.toLowerCase()
  const length = repetitionOf(new Set(lower).size)
  const predicted = Array.from(lower, (char, at) => at >= 2 && sameStep(lower[at - 2]!, lower[at - 1]!, char))
  for (let at = 1; at + length <= lower.length; at++)
    if (lower.indexOf(lower.slice(at, at + length)) < at) predicted.fill(true, at, at + length)
  return predicted
}

/**
 * Splits a secret into possible words and single characters. Two or three letters are a word only between separators:
 * random letters and digits have many such runs.
 */
const part = /(?<![A-Za-z0-9])[A-Z]?[a-z]{2,3}(?![A-Za-z0-9])|[A-Z]?[a-z]{4,}|[A-Z]{4,}|./gs
/** Five consonants in a row are rare in words, also in words without spaces between them. */
const unpronounceable = /[bcdfghjklmnpqrstvwxz]{5}/i
/** Randomness of a letter in a sentence, bits. */
const bitsPerLetter = 1.8
/** Randomness of a space or a hyphen after the first one, bits. */
const bitsPerSeparator = 1

/**
 * Estimates the randomness of a secret in bits. Repetitions and rows of a keyboard add nothing, and letters that look
 * like words add little: 32 random hexadecimal digits have about 120, a sentence of that length about 60.
 */
export const randomBitsOf = (secret: string): number => {
  const predicted = predictedIn(secret)
  const bitsPerCharacter = Math.log2(new Set(secret).size)
  let bits = 0
  for (const { 0: text, index } of secret.matchAll(part)) {
    const free = predicted.slice(index, index + text.length).filter(isPredicted => !isPredicted).length
    const isWord = text.length > 1 && !unpronounceable.test(text)
    const isSeparator = /^[^A-Za-z0-9]$/.test(text) && secret.indexOf(text) < index
    bits += free * Math.min(bitsPerCharacter, isWord ? bitsPerLetter : isSeparator ? bitsPerSeparator : 8)
  }
  return bits
}

/** Smallest size of an HS256 secret (RFC 7518, 3.2). */
const leastBytes = 32
const leastBits = 80

/** A secret that signs tokens: a short or guessable one would let strangers sign tokens for every user. */
export const signingSecret: OptionType<string> = {
  name: 'text',
  range: 'random, at least 32 bytes',
  parse: (raw, base) => {
    const secret = text.parse(raw, base)
    if (Buffer.byteLength(secret) < leastBytes)
      throw new ValueError(`must have at least ${leastBytes} bytes (RFC 7518, 3.2)`)
    if (randomBitsOf(secret) < leastBits)
      throw new ValueError(
        'can be guessed: it consists of words, repetitions or rows of a keyboard. Create one with "openssl rand -base64 32"',
      )
    return secret
  },
}
