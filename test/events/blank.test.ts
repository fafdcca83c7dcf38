import fc from 'fast-check'
import t from 'tap'
import { isBlank } from '../../src/events/index.ts'

const range = (first: number, last: number): string[] =>
  Array.from({ length: last - first + 1 }, (_, i) => String.fromCodePoint(first + i))

/** Characters without a glyph, listed by hand from the code charts. */
const invisible = [
  ...range(0x00, 0x20),
  ...range(0x7f, 0xa0),
  '\u00ad',
  '\u034f',
  '\u061c',
  '\u115f',
  '\u1160',
  '\u1680',
  ...range(0x17b4, 0x17b5),
  ...range(0x180b, 0x180f),
  ...range(0x2000, 0x200f),
  ...range(0x2028, 0x202f),
  ...range(0x205f, 0x206f),
  '\u2800',
  '\u3000',
  '\u3164',
  ...range(0xfe00, 0xfe0f),
  '\ufeff',
  '\uffa0',
  ...range(0xfff9, 0xfffb),
  ...range(0x1bca0, 0x1bca3),
  ...range(0x1d173, 0x1d17a),
  '\u{e0001}',
  ...range(0xe0020, 0xe007f),
  ...range(0xe0100, 0xe01ef),
]

t.test('a text is blank when it has no visible character', async t => {
  for (const each of invisible) t.ok(isBlank(each), `U+${each.codePointAt(0)?.toString(16)}`)
  fc.assert(fc.property(fc.array(fc.constantFrom(...invisible)), each => isBlank(each.join(''))))
})

t.test('a text with a visible character is not blank', async t => {
  const visible = [
    'a',
    '.',
    '0',
    '\u0301',
    'ا',
    '۝',
    '؀',
    'ㅏ',
    '한',
    '⠁',
    '🍵',
    '❤️',
    '🏴󠁧󠁢󠁥󠁮󠁧󠁿',
    '👩‍👩‍👧',
    '\ue000',
    '\ufffd',
    '🇩🇪',
    '‮x',
  ]
  for (const each of visible) t.notOk(isBlank(each), each)
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(...invisible)),
      fc.constantFrom(...visible),
      fc.array(fc.constantFrom(...invisible)),
      (before, each, after) => !isBlank([...before, each, ...after].join('')),
    ),
  )
})

t.test('the letters, digits, symbols and marks of Unicode are not blank', async t => {
  const wrong: string[] = []
  for (let code = 0; code <= 0x10ffff; code++) {
    const each = String.fromCodePoint(code)
    const isVisible =
      /^[\p{L}\p{N}\p{P}\p{S}\p{M}\p{Co}]$/u.test(each) &&
      !/^[\p{Default_Ignorable_Code_Point}\u2800]$/u.test(each)
    if (isVisible && isBlank(each)) wrong.push(code.toString(16))
  }
  t.same(wrong, [])
})
