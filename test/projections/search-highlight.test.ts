import fc from 'fast-check'
import t from 'tap'
import { highlighterOf, holderOf, phrasesOf, wordsOf } from '../../src/projections/index.ts'

const holdsAll = (text: string, q: string): boolean => holderOf(phrasesOf(q))(text)
const shown = (text: string, q: string): string => highlighterOf(phrasesOf(q))(text)

t.test('a match is marked with all that belongs to its letters, and with nothing else', async t => {
  const cases: readonly (readonly [text: string, q: string, html: string])[] = [
    [
      'an un\u00adbe\u200bliev\u200cable\u200b one',
      'unbelievable',
      'an <mark>un\u00adbe\u200bliev\u200cable</mark>\u200b one',
    ],
    ['in Łódź!', 'lodz', 'in <mark>Łódź</mark>!'],
    ['cafe\u0301, x', 'café', '<mark>cafe\u0301</mark>, x'],
    ['Straße 5', 'strasse', '<mark>Straße</mark> 5'],
    ['ﬁle', 'file', '<mark>ﬁle</mark>'],
    ['x ﾊﾝﾊﾞｰｶﾞｰ y', 'バーガ', 'x ﾊﾝ<mark>ﾊﾞｰｶﾞ</mark>ｰ y'],
    ['น้ำแข็ง', 'น\u0e49\u0e4dา', '<mark>น้ำ</mark>แข็ง'],
    ['عـلي.', 'علی', '<mark>عـلي</mark>.'],
    ['ok 👍🏽!', '👍', 'ok <mark>👍🏽</mark>!'],
    ['a ❤\ufe0f.', '❤', 'a <mark>❤\ufe0f</mark>.'],
    ['brand™\ufe0f!', 'brand', '<mark>brand</mark>™\ufe0f!'],
    ['brand™\ufe0f!', 'tm', 'brand<mark>™\ufe0f</mark>!'],
    ['١٢٣ و', '123', '<mark>١٢٣</mark> و'],
    ['5㎏ x', 'kg', '5<mark>㎏</mark> x'],
  ]
  for (const [text, q, html] of cases) t.equal(shown(text, q), html, `${text} ${q}`)
})

t.test('words, prefixes and phrases that overlap', async t => {
  t.equal(shown('a b c d', '"a b" "b c"'), '<mark>a b c</mark> d')
  t.equal(shown('tea teapot team', 'tea* team*'), '<mark>tea</mark> <mark>teapot</mark> <mark>team</mark>')
  t.equal(shown('an apple', 'b* app* a'), 'an <mark>apple</mark>')
  t.equal(
    shown('ginger tea, ginger teas', '"ginger te"*'),
    '<mark>ginger tea</mark>, <mark>ginger teas</mark>',
  )
  t.equal(shown('東京都', '京'), '東<mark>京</mark>都')
})

t.test('a match that is longer than the excerpt is cut off with it', async t => {
  t.equal(shown('東'.repeat(500), '東'), `<mark>${'東'.repeat(300)}</mark>…`)
  t.equal(
    shown(`${'a '.repeat(100)}${'x'.repeat(400)} b`, 'x*'),
    `…${'a '.repeat(40)}<mark>${'x'.repeat(220)}</mark>…`,
  )
})

/** Finds matches phrase by phrase, word by word. */
const plainly = (text: string, q: string): string => {
  const words = wordsOf(text)
  const marked = new Set<number>()
  for (const { words: wanted, prefix } of phrasesOf(q))
    for (let i = 0; i + wanted.length <= words.length; i++) {
      const fits = wanted.every((word, at) => {
        const found = words[i + at]?.folded ?? ''
        return prefix && at === wanted.length - 1 ? found.startsWith(word) : found === word
      })
      if (!fits) continue
      const [start, end] = [words[i]?.start ?? 0, words[i + wanted.length - 1]?.end ?? 0]
      for (let at = start; at < end; at++) marked.add(at)
    }
  return [...text].map((char, i) => (marked.has(i) ? char.toUpperCase() : char)).join('')
}

t.test('property: what is marked is what a search phrase by phrase finds', async () => {
  const text = fc
    .array(fc.constantFrom('a', 'ab', 'abc', 'b', 'ba', '.'), { maxLength: 20 })
    .map(all => all.join(' '))
  const clause = fc
    .tuple(
      fc.array(fc.constantFrom('a', 'ab', 'b', 'ba'), { minLength: 1, maxLength: 3 }),
      fc.constantFrom('', '*'),
    )
    .map(([words, star]) => `"${words.join(' ')}"${star}`)
  fc.assert(
    fc.property(text, fc.array(clause, { minLength: 1, maxLength: 5 }), (text, clauses) => {
      const q = clauses.join(' ')
      const found = shown(text, q).replace(/<mark>(.*?)<\/mark>/g, (_, match: string) => match.toUpperCase())
      return (
        found === plainly(text, q) &&
        clauses.every(q => holdsAll(text, q) === (plainly(text, q) !== text)) &&
        holdsAll(text, q) === clauses.every(q => plainly(text, q) !== text)
      )
    }),
    { numRuns: 2_000 },
  )
})

t.test('long queries on long texts', async t => {
  const text = 'a '.repeat(8_000)
  const all = `${'<mark>a</mark> '.repeat(150)}…`
  t.equal(shown(text, 'a '.repeat(127)), all)
  t.equal(shown(text, 'a* '.repeat(85)), all)
  t.equal(shown(text, `"${'a '.repeat(126)}"`), `<mark>${text.slice(0, 300)}</mark>…`)
  const last = `${text}b`
  t.equal(shown(last, `"${'a '.repeat(125)}b"`), `…${'a '.repeat(40)}<mark>${'a '.repeat(110)}</mark>…`)
  t.ok(holdsAll(last, `"${'a '.repeat(125)}b"`))
})
