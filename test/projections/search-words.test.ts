import fc from 'fast-check'
import t from 'tap'
import { phrasesOf, wordsOf } from '../../src/projections/index.ts'

const folded = (text: string): string[] => wordsOf(text).map(word => word.folded)

/** Texts of many scripts, in composed and decomposed forms, with marks and separators in any order. */
const pieces = fc.constantFrom(
  ...'aIİıßẞŁłøØđħŧŋæÆœþðéÀñ 1x.,-\'"*',
  ...'оеёЁйЙиИуўіїґάςσΣ',
  ...'אםמךכשׁװ',
  ...'\u0627\u0623\u0625\u0622\u0671\u0649\u064a\u06cc\u0643\u06a9\u0629\u0647\u06c1\u0640\u0644\ufefb\ufdf2',
  ...'\u064b\u0651\u0654\u0670\u05b8\u05c1',
  ...'१२٣٤۵๖',
  ...'ज़ज\u093cां\u0901\u0902\u094d\u09ce\u09a4\u09cd\u0d7b\u0d28\u0d4d',
  ...'น\u0e49\u0e4dา\u0e33เแก\u0e35\u0eab\u0edc\u0eb3',
  ...'한글\u1112\u1161\u11ab\u3131ﾊﾞﾟハバかが東京ー',
  ...'\u0300\u0301\u0306\u0308\u0323\u031b\u0345\u3099\u0dd9\u0dcf\u0ddc',
  ...'Ａａ１ﬁǆⅣ²ⓐ𝐇',
  '🎉',
  '❤\ufe0f',
  '👍🏽',
)
const mixed = fc.array(pieces, { maxLength: 30 }).map(all => all.join(''))
const texts = fc.oneof(mixed, fc.string({ unit: 'binary', maxLength: 30 }))
const invisible = fc.constantFrom(
  ...'\u00ad\u034f\u061c\u115f\u180e\u200b\u200c\u200d\u200e\u200f\u202b\u202e\u2060\u2063\u2066\u2069\u3164\ufeff',
)

t.test('spellings of a word', async t => {
  const same: readonly (readonly string[])[] = [
    ['IŞIK', 'ışık', 'isik', 'İşik', 'i\u0307şık'],
    ['Łódź', 'łódź', 'lodz', 'LODZ', 'Ło\u0301dz\u0301'],
    ['smørrebrød', 'SMØRREBRØD', 'smorrebrod'],
    ['Đà', 'đà', 'da', 'ðà'],
    ['straße', 'STRASSE', 'STRAẞE', 'ſtrasse'],
    ['Ħŧŋ', 'htn'],
    ['Ærø', 'aero'],
    ['œuvre', 'ŒUVRE', 'oeuvre'],
    ['Þórr', 'thorr'],
    ['Việt', 'Vie\u0323\u0302t', 'Vie\u0302\u0323t', 'viet'],
    ['ﬁnal', 'final', 'ｆｉｎａｌ', 'ＦＩＮＡＬ', '𝐟𝐢𝐧𝐚𝐥', 'ⓕⓘⓝⓐⓛ', 'ꜰɪɴᴀʟ', '🅵🅸🅽🅰🅻'],
    ['ΟΔΟΣ', 'οδος', 'οδοσ', 'ὁδός'],
    ['ёлка', 'елка', 'Е\u0308лка'],
    ['мой', 'МОЙ', 'мои\u0306', 'мо\u0301и\u0306', 'мои\u0301\u0306'],
    ['за\u0301мок', 'замок'],
    ['Київ', 'Киі\u0308в', 'КИЇВ'],
    ['ինչո՞ւ', 'ինչու', 'ԻՆՉՈՒ'],
    ['שָׁלוֹם', 'שלום', 'שלומ', '\ufb2aל\ufb4bם'],
    ['علي', 'علی', 'على', 'عَلِيّ', 'عـــلي', '\ufecbلي'],
    ['كتاب', 'کتاب', 'كِتَاب', 'ڪتاب'],
    ['أحمد', 'احمد', 'إحمد', 'آحمد', 'ٱحمد'],
    ['مدرسة', 'مدرسه', 'مدرسہ', 'مدرسھ'],
    ['\ufefb', 'لا', 'لأ'],
    ['١٢٣', '123', '۱۲۳', '१२३', '১২৩', '๑๒๓', '１２３', '①②③', '❶❷❸', '¹²³', '𝟏𝟐𝟑'],
    ['می\u200cخواهم', 'میخواهم'],
    ['фільм', 'ФІЛЬМ'],
    ['फ़िल्म', 'फिल्म', 'फ\u093cिल्म'],
    ['आँख', 'आंख'],
    ['ক্ষ', 'ক্\u200dষ', 'ক্\u200cষ'],
    ['അവൻ', 'അവന്\u200d'],
    ['உத்', 'உத்\u200c'],
    ['ᠠ\u180e', 'ᠠ'],
    ['한글', '한글'.normalize('NFD'), '하\u11ab글'],
    ['ㅋㅋ', '\uffbb\uffbb'],
    ['un\u00adbe\u200bliev\u2060able', 'unbelievable', '\ufeffunbe\u200eliev\u202eable\u200f'],
    ['coŀlecció', 'col·lecció', 'COL·LECCIÓ'],
    ['п’ять', "п'ять", 'пʼять'],
    ['½', '1/2', '1⁄2'],
  ]
  for (const [first = '', ...others] of same) {
    t.not(folded(first).join(' '), '', first)
    for (const other of others) t.same(folded(other), folded(first), `${first} ${other}`)
  }
  const different: readonly (readonly [string, string])[] = [
    ['й', 'и'],
    ['ї', 'і'],
    ['ў', 'у'],
    ['が', 'か'],
    ['パ', 'バ'],
    ['を', 'お'],
    ['น้ำ', 'นำ'],
    ['कि', 'की'],
    ['한', '하'],
  ]
  for (const [one, other] of different)
    t.not(folded(one).join(' '), folded(other).join(' '), `${one} ${other}`)
})

t.test('scripts without spaces', async t => {
  const hamburger = ['ハ', 'ン', 'バ', 'ー', 'ガ', 'ー']
  for (const text of ['ハンバーガー', 'ﾊﾝﾊﾞｰｶﾞｰ', 'ハンハ\u3099ーカ\u3099ー', 'ハンハ゛ーカ゛ー'])
    t.same(folded(text), hamburger, text)
  const water = ['น\u0e49\u0e4d', 'า']
  for (const text of ['น\u0e49\u0e33', 'น\u0e49\u0e4dา', 'น\u0e4d\u0e49า', 'น\u200b\u0e49\u0e33'])
    t.same(folded(text), water, text)
  t.same(folded('เเก'), folded('แก'))
  t.same(folded('เ เก'), ['เ', 'เ', 'ก'])
  t.same(folded('ນ\u0ec9\u0eb3'), folded('ນ\u0ecd\u0ec9າ'))
  t.same(folded('ໝາ'), folded('ຫມາ'))
  t.same(folded('葛\u{e0100}城 ⼀'), ['葛', '城', '一'])
  t.same(folded('㍿ﾄｰ5月'), ['株', '式', '会', '社', 'ト', 'ー', '5', '月'])
})

t.test('symbols are words of their own, in letters if they consist of letters', async t => {
  t.same(folded('brand™ №5 25℃ 2½ 10㎡ ⑴a'), [
    ...['brand', 'tm', 'no', '5', '25', 'c', '2', '1', '2', '10', 'm2', '1', 'a'],
  ])
  t.same(folded('👩\u200d💻👍🏽❤\ufe0f1\ufe0f\u20e3'), ['👩', '💻', '👍', '❤', '1'])
})

t.test('a query is parsed in any width, and without invisible characters', async t => {
  t.same(phrasesOf('ｇｉｎｇ＊'), [{ words: ['ging'], prefix: true }])
  t.same(phrasesOf('＂ａ　ｂ＂'), [{ words: ['a', 'b'], prefix: false }])
  t.same(phrasesOf('gi\u00adng*\u200e'), [{ words: ['ging'], prefix: true }])
  t.same(phrasesOf('\u200f"a b"*'), [{ words: ['a', 'b'], prefix: true }])
})

const haveSameWords = (one: string, other: string): boolean =>
  folded(one).join(' ') === folded(other).join(' ')
const runs = { numRuns: 2_000 }

t.test('property: equivalents of a text have its words', async () => {
  const canonical = fc.constantFrom('NFC', 'NFD')
  fc.assert(
    fc.property(texts, canonical, (text, form) => haveSameWords(text, text.normalize(form))),
    runs,
  )
  // Without symbols: normal forms join them to the word before.
  const compatible = fc.constantFrom('NFKC', 'NFKD')
  fc.assert(
    fc.property(mixed, compatible, (text, form) => haveSameWords(text, text.normalize(form))),
    runs,
  )
})

t.test('property: invisible characters change no word', async () => {
  const added = fc.array(fc.tuple(fc.nat(), invisible), { maxLength: 5 })
  fc.assert(
    fc.property(texts, added, (text, added) => {
      const characters = [...text]
      for (const [at, char] of added) characters.splice(at % (characters.length + 1), 0, char)
      return haveSameWords(text, characters.join(''))
    }),
    runs,
  )
})

t.test('property: the words of words are the same', async () => {
  fc.assert(
    fc.property(texts, text => haveSameWords(text, folded(text).join(' '))),
    runs,
  )
})

t.test('property: a word has its place in the text, and nothing between two words is one', async () => {
  fc.assert(
    fc.property(texts, text => {
      let between = ''
      let at = 0
      for (const { folded: word, start, end } of wordsOf(text)) {
        if (start < 0 || start >= end || end > text.length) return false
        if (!folded(text.slice(start, end)).includes(word)) return false
        between += `${text.slice(at, start)} `
        at = Math.max(at, end)
      }
      return folded(between + text.slice(at)).length === 0
    }),
    runs,
  )
})

t.test('every code point: one form for its case, its width and its other compatible forms', async t => {
  const wrong: string[] = []
  for (let code = 0; code <= 0xe01ef; code = code === 0x33fff ? 0xe0000 : code + 1) {
    if (code >= 0xd800 && code <= 0xdfff) continue
    const char = String.fromCodePoint(code)
    const words = folded(`x ${char} y`).join(' ')
    const forms = [
      words,
      ...(['NFC', 'NFD', 'NFKC', 'NFKD'] as const).map(form => `x ${char.normalize(form)} y`),
    ]
    // Upper case writes an iota below a Greek letter as a letter.
    if (!char.normalize('NFD').includes('\u0345'))
      forms.push(`x ${char.toUpperCase()} y`, `x ${char.toLowerCase()} y`)
    if (forms.some(form => folded(form).join(' ') !== words)) wrong.push(`${code.toString(16)} ${char}`)
  }
  t.same(wrong, [])
})

t.test('of many marks on one letter, the first thirty count', async t => {
  const word = (count: number) => folded(`क${'\u0941\u0902'.repeat(count)}`)
  t.same(word(5_000), word(15))
  t.not(word(14).join(''), word(15).join(''))
  t.same(folded(`a${'\u0301\u0323'.repeat(5_000)}b`), ['ab'])
})
