/**
 * Folding of single code points for the search. Each code point is folded once, by its Unicode properties and the
 * tables below, and the result is kept in a table. A text is then folded in linear time, and every word has its
 * offsets.
 */

/** The effect of a code point on the words of a text. */
export const Effect = {
  /** Ends a word: blanks, punctuation, symbols. */
  separator: 1,
  /** Has no effect: invisible characters, such as a soft hyphen or a joiner. */
  invisible: 2,
  /** Belongs to the letter before it, and is not part of the folded word: accents, points, variation selectors. */
  accent: 3,
  /** Extends a word. */
  letter: 4,
  /** Extends a word, and may compose with the letter before it: vowels and final consonants of Hangul. */
  composing: 5,
  /** Extends a word, and is essential: vowel signs, voicing marks of Kana. */
  mark: 6,
  /** Is a word, with its marks: letters of scripts without spaces, and pictographs. */
  single: 7,
  /** Folds to several code points with effects of their own. */
  several: 8,
} as const
export type Effect = (typeof Effect)[keyof typeof Effect]

/**
 * Scripts written without spaces: each letter is a word, and a search for several letters is a phrase search. This
 * finds every substring at the price of more index entries; fewer would need a dictionary.
 */
const unspaced =
  '\\p{scx=Han}\\p{scx=Hira}\\p{scx=Kana}\\p{sc=Thai}\\p{sc=Lao}\\p{sc=Khmr}\\p{sc=Mymr}\\p{sc=Tibt}' +
  '\\p{sc=Tale}\\p{sc=Talu}\\p{sc=Lana}\\p{sc=Tavt}\\p{sc=Java}\\p{sc=Bali}\\p{sc=Yiii}\\p{sc=Tang}\\p{sc=Nshu}'
const single = new RegExp(`^(?:[[${unspaced}]&&[\\p{L}\\p{N}]]|\\p{Extended_Pictographic})$`, 'v')
const letter = /^[\p{L}\p{N}]$/u
const mark = /^\p{M}$/u
/** Letters that compose with a letter before them: jamo of Hangul, and one vowel of Kirat Rai. */
const composing = /^[\u1161-\u1175\u11a8-\u11c2\u{16d67}]$/u
/** Characters that are letters in Unicode, and apostrophes or stress marks to their users. */
const apostrophe = /^[\u02b9-\u02bf\u02c8\ua78b\ua78c]$/

/**
 * Marks that users leave out, or that another user may have typed: accents of Latin, Greek and Cyrillic, points of
 * Hebrew, vowel signs and tatweel of Arabic, the dot of Devanagari, stress marks of Armenian, enclosing marks,
 * variation selectors, skin tones, tags. The voicing marks of Kana have no script of their own and are no accents.
 */
const accents = new RegExp(
  [
    '[[\\p{M}&&[\\p{sc=Zinh}\\p{sc=Latn}\\p{sc=Grek}\\p{sc=Copt}\\p{sc=Cyrl}\\p{sc=Hebr}\\p{sc=Arab}\\p{sc=Syrc}',
    '\\p{sc=Ethi}]]--[\\u3099\\u309a]]',
    '|[\\u0640\\u06e5\\u06e6\\u07fa\\u180a\\u093c\\u055b\\u055c\\u055e\\u055f]',
    '|[\\p{VS}\\p{Emoji_Modifier}\\u{e0000}-\\u{e0fff}]',
  ].join(''),
  'gv',
)
const invisible = /[\p{Default_Ignorable_Code_Point}\u070f]/gv

/** Letters that differ from their base letter by more than a removable accent, composed from both. */
const keptLetters: ReadonlyMap<string, string> = new Map([
  ['и\u0306', 'й'],
  ['у\u0306', 'ў'],
  ['і\u0308', 'ї'],
])
const kept: ReadonlySet<string> = new Set(keptLetters.values())

/** Folded forms, each with the lower-case characters that Unicode does not decompose into it. */
const variants: Readonly<Record<string, string>> = {
  a: 'ᴀɐɑɒᶏⱥ',
  b: 'ʙƀƃɓᴃᵬᶀꞗ',
  c: 'ᴄƈȼɕꞓꞔ',
  d: 'ᴅđðƌȡɖɗᴆᵭᶁᶑꝺꟈ',
  e: 'ᴇǝəɇɘɛⱸᶒ',
  f: 'ꜰƒᵮᶂꝼꞙ',
  g: 'ɢǥɠɡɣʛᵹᶃꞡ',
  h: 'ʜħɦⱨꞕ',
  i: 'ɪıɨɩᵻᶖ',
  j: 'ᴊȷɉɟʄʝ',
  k: 'ᴋƙᶄⱪꝁꝃꝅꞣ',
  l: 'ʟłƚȴɫɬɭᴌᶅⱡꝉꞎ',
  m: 'ᴍɱᵯᶆ',
  n: 'ɴŋƞȵɲɳᵰᶇꞑꞥ',
  o: 'ᴏøɔɵⱺꝋꝍ',
  p: 'ᴘƥᵱᵽᶈꝑꝓꝕ',
  q: 'ꞯĸɋʠꝗꝙ',
  r: 'ʀɍɼɽɾᵲᵳᶉꝛꞃꞧ',
  s: 'ꜱȿʂᵴᶊꞅꞩꟊ',
  t: 'ᴛŧƫƭȶʈᵵⱦꞇ',
  u: 'ᴜʉʊᵾᶙꞹ',
  v: 'ᴠʋᶌⱱⱴꝟ',
  w: 'ᴡⱳ',
  x: 'ᶍ',
  y: 'ʏƴɏỿ',
  z: 'ᴢƶȥɀʐʑʒᵶᶎⱬ',
  aa: 'ꜳ',
  ae: 'æᴁ',
  ao: 'ꜵ',
  au: 'ꜷ',
  av: 'ꜹꜻ',
  ay: 'ꜽ',
  db: 'ȸ',
  dz: 'ʣʥ',
  hv: 'ƕ',
  ls: 'ʪ',
  lz: 'ʫ',
  oe: 'œɶ',
  oo: 'ꝏ',
  ou: 'ȣᴕ',
  qp: 'ȹ',
  tc: 'ʨ',
  th: 'þᵺꝥꝧ',
  ts: 'ʦ',
  tz: 'ꜩ',
  ue: 'ᵫ',
  vy: 'ꝡ',
  // Arabic: alef, yeh, kaf and heh, as keyboards of Arabic, Persian, Urdu and Kurdish write them.
  ا: '\u0671\u0672\u0673',
  ي: '\u0649\u06cc\u06d2',
  ك: '\u06a9\u06aa',
  ه: '\u0629\u06be\u06c1\u06c3\u06d5',
  // Hebrew: final letters, and the digraphs of Yiddish.
  כ: 'ך',
  מ: 'ם',
  נ: 'ן',
  פ: 'ף',
  צ: 'ץ',
  וו: '\u05f0',
  וי: '\u05f1',
  יי: '\u05f2',
  // Devanagari: the nasalised vowel. Bengali and Malayalam: final consonants that were once written with a joiner.
  '\u0902': '\u0901',
  '\u09a4\u09cd': '\u09ce',
  '\u0d23\u0d4d': '\u0d7a',
  '\u0d28\u0d4d': '\u0d7b',
  '\u0d30\u0d4d': '\u0d7c',
  '\u0d32\u0d4d': '\u0d7d',
  '\u0d33\u0d4d': '\u0d7e',
  '\u0d15\u0d4d': '\u0d7f',
  // Voicing marks of Kana that are written after the letter.
  '\u3099': '\u309b',
  '\u309a': '\u309c',
}

/** Runs of characters that Unicode does not decompose: the first character, the first folded form, the length. */
const runs: readonly (readonly [first: number, to: string | number, length: number])[] = [
  // Negative circled digits and numbers.
  [0x24eb, 11, 10],
  [0x24f5, 1, 10],
  [0x24ff, 0, 1],
  [0x2776, 1, 10],
  [0x2780, 1, 10],
  [0x278a, 1, 10],
  // Negative circled and squared letters.
  [0x1f150, 'a', 26],
  [0x1f170, 'a', 26],
]

const variantOf: ReadonlyMap<string, string> = new Map([
  ...Object.entries(variants).flatMap(([to, all]) => [...all].map(char => [char, to] as const)),
  ...runs.flatMap(([first, to, length]) =>
    Array.from({ length }, (_, i) => {
      const folded = typeof to === 'number' ? `${to + i}` : String.fromCharCode(to.charCodeAt(0) + i)
      return [String.fromCodePoint(first + i), folded] as const
    }),
  ),
])

const decimal = /^\p{Nd}$/u
/** Returns the value of a decimal digit of any script. The digits of a script are consecutive, from its zero. */
const digitOf = (code: number): string => {
  let zero = code
  while (decimal.test(String.fromCodePoint(zero - 1))) zero--
  return `${(code - zero) % 10}`
}

/** Folds case. Upper case in between turns `ß` into `ss`, `ı` into `i`, and the final sigma into the other one. */
const withoutCase = (char: string): string => char.toLowerCase().toUpperCase().toLowerCase()

const foldedLetters = (decomposed: string): string =>
  [...decomposed.replace(accents, '')]
    .map(char => {
      const lower = withoutCase(char)
      return variantOf.get(lower) ?? lower
    })
    .join('')
    .replace(invisible, '')
    .normalize('NFC')

/** Whether a symbol is a word of its own: `№` and `™` are not part of the word before, and `5½` is not `51`. */
const isSymbol = (char: string, decomposed: string): boolean =>
  !/[\p{Alphabetic}\p{N}\p{M}]/u.test(char) || decomposed.includes('\u2044')

const foldedOf = (char: string): string => {
  if (decimal.test(char)) return digitOf(char.codePointAt(0) ?? 0)
  const lower = char.toLowerCase()
  if (kept.has(lower)) return lower
  const variant = variantOf.get(char)
  if (variant !== undefined) return variant
  const decomposed = char.normalize('NFKD')
  // Unicode decomposes isolated forms of Arabic vowel signs into a blank and the sign.
  const folded = foldedLetters(letter.test(char) ? decomposed.replace(/^ (?=\p{M})/u, '') : decomposed)
  return folded !== char && isSymbol(char, decomposed) ? ` ${folded} ` : folded
}

const effectOfFolded = (char: string): Effect => {
  if (mark.test(char)) return Effect.mark
  if (single.test(char)) return Effect.single
  if (composing.test(char)) return Effect.composing
  return letter.test(char) && !apostrophe.test(char) ? Effect.letter : Effect.separator
}

const matches = (pattern: RegExp, char: string): boolean => char.search(pattern) === 0

/** Effects by code point; 0: not known yet. */
const effects = new Uint8Array(0x110000)
/** Folded forms of the code points that differ from it. */
const replacements = new Map<number, string>()

const learn = (code: number): Effect => {
  const char = String.fromCodePoint(code)
  let effect: Effect
  if (matches(accents, char)) effect = Effect.accent
  else if (matches(invisible, char)) effect = Effect.invisible
  else {
    const folded = foldedOf(char)
    const all = [...folded].map(effectOfFolded)
    const [first = Effect.accent] = all
    const areAlike = all.every(one => one === first)
    if (areAlike && (all.length <= 1 || first === Effect.letter || first === Effect.separator)) effect = first
    else effect = Effect.several
    if (folded !== char && effect !== Effect.separator) replacements.set(code, folded)
  }
  effects[code] = effect
  return effect
}

/** Returns the effect of a code point. */
export const effectOf = (code: number): Effect => (effects[code] as Effect | 0) || learn(code)

/** Returns the folded form of a code point whose effect is known and that is not a separator. */
export const letterOf = (code: number): string => replacements.get(code) ?? String.fromCodePoint(code)

/** Returns the letter that an accent makes of a folded letter, if it is more than an accent there. */
export const keptLetterOf = (letter: string, accent: number): string | undefined =>
  accent === 0x306 || accent === 0x308 ? keptLetters.get(letter + String.fromCharCode(accent)) : undefined
