/** Returns a generator of numbers from 0 to 1, deterministic per seed (mulberry32). */
export const seededRandom = (seed: number): (() => number) => {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

const syllables = [
  'ba',
  'con',
  'de',
  'fi',
  'go',
  'hel',
  'in',
  'jo',
  'ka',
  'lor',
  'me',
  'no',
  'pre',
  'ra',
  'sti',
  'to',
  'un',
  've',
]

const vocabulary = Array.from({ length: 3000 }, (_, n) => {
  let rest = n + 1
  let made = ''
  for (; rest > 0; rest = Math.floor(rest / syllables.length)) made += syllables[rest % syllables.length]
  return made
})

/** Returns a message of 1 to 30 words with a natural distribution of words, about 100 characters. */
export const makeText = (random: () => number): string =>
  Array.from(
    { length: 1 + Math.floor(random() * 30) },
    () => vocabulary[Math.floor(vocabulary.length * random() ** 3)],
  ).join(' ')
