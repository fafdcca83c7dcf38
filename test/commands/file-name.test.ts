import fc from 'fast-check'
import t from 'tap'
import { contentDisposition, normalName } from '../../src/media/file-name.ts'

/** Makes any text readable in a report. */
const shown = (text: string): string =>
  text.replace(/[^\x21-\x7e]/g, char => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)

const long = 'x'.repeat(300)

t.test('names of devices are normalised', async t => {
  const cases: [given: string, name: string][] = [
    ['a.png', 'a.png'],
    ['grüne Kanne.png', 'grüne Kanne.png'],
    ['茶.txt', '茶.txt'],
    ['.profile', '.profile'],
    ['a..b', 'a..b'],
    ['-rf', '-rf'],
    ['emoji 🫖.gif', 'emoji 🫖.gif'],
    // Marks of writing direction in names on Windows and of Hebrew and Arabic devices.
    ['\u200ephoto.jpg', 'photo.jpg'],
    ['‏תמונה\u200f.jpg', 'תמונה.jpg'],
    ['IMG\u200e_1.jpg\u200e', 'IMG_1.jpg'],
    ['a\u061cb.txt', 'ab.txt'],
    // A byte order mark, zero-width spaces, word joiners and soft hyphens.
    ['\ufeffa\u200bb\u2060c\u00ad.txt', 'abc.txt'],
    // Joiners and variation selectors change what is seen.
    ['👩\u200d👧.png', '👩\u200d👧.png'],
    ['❤\ufe0f.png', '❤\ufe0f.png'],
    ['می\u200cخواهم.txt', 'می\u200cخواهم.txt'],
    // File systems of Apple decompose letters; screenshots have a narrow space before AM.
    ['gru\u0308n.png', 'grün.png'],
    ['\u1112\u1161\u11ab.txt', '한.txt'],
    ['Screenshot 2026-05-01 at 10.00.00\u202fAM.png', 'Screenshot 2026-05-01 at 10.00.00\u202fAM.png'],
    [' a.png ', 'a.png'],
    ['a.png.', 'a.png'],
    ['a.png. .', 'a.png'],
    ['\u00a0a.png\u3000', 'a.png'],
    ['C:\\fakepath\\a.png', 'a.png'],
    ['c:\\FakePath\\a.png', 'a.png'],
    [`${long}.jpeg`, `${'x'.repeat(250)}.jpeg`],
    [long, 'x'.repeat(255)],
    [`a.${long}`, `a.${'x'.repeat(253)}`],
    [`x${'🫖'.repeat(200)}.png`, `x${'🫖'.repeat(125)}.png`],
  ]
  for (const [given, name] of cases) t.equal(normalName(given), name, shown(given))
})

t.test('names that can deceive or show nothing are refused', async t => {
  for (const name of [
    '',
    ' ',
    '.',
    '..',
    '...',
    '\u200e',
    '\u200d',
    '\u2800',
    'a/b',
    '/etc/passwd',
    '../a',
    'a\\b',
    'C:\\a.png',
    'C:\\fakepath\\..\\a.png',
    'C:\\fakepath\\C:\\fakepath\\a.png',
    'x C:\\fakepath\\a.png',
    'C:\\fakepath\\',
    'a\0b',
    'a\nb',
    'a\tb',
    'a.png\r\n',
    'a\u007fb',
    'a\u0085b',
    'a\u2028b',
    '\ud800',
    ...Array.from('\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069', char => `a${char}gnp.exe`),
  ])
    t.equal(normalName(name), undefined, shown(name))
})

/** Texts with many of the characters that matter here. */
const names = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 400 }),
  fc.string({
    unit: fc.constantFrom(
      ...'aé.. \u0301\u0308\u200d\u200e\u202e\ufe0f\u034f\ufeff\u00a0\u1112\u1161'.split(''),
      '🫖',
      'C:\\fakepath\\',
      '.png',
      'x'.repeat(120),
      '🫖'.repeat(60),
    ),
    maxLength: 20,
  }),
)

t.test('a normal name stays as it is, and is safe', async () => {
  fc.assert(
    fc.property(names, given => {
      const name = normalName(given)
      return (
        name === undefined ||
        (normalName(name) === name &&
          normalName(given.normalize('NFD')) === name &&
          name === name.normalize('NFC') &&
          name === name.trim() &&
          name.length <= 255 &&
          name.isWellFormed() &&
          !/[/\\\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069]|\.$/u.test(name))
      )
    }),
    { numRuns: 2_000 },
  )
})

t.test('a name is encoded completely in a header, and cannot add to it', async t => {
  t.equal(
    contentDisposition({ name: 'tea "hot"; x=y%.txt', inline: false }),
    `attachment; filename="tea _hot_; x=y_.txt"; filename*=UTF-8''tea%20%22hot%22%3B%20x%3Dy%25.txt`,
  )
  fc.assert(
    fc.property(names, given => {
      const name = normalName(given)
      if (name === undefined) return true
      const header = contentDisposition({ name, inline: true })
      const [, encoded] =
        /^inline; filename="[\x20-\x7e]*"; filename\*=UTF-8''([\w.!~%-]*)$/.exec(header) ?? []
      return encoded !== undefined && decodeURIComponent(encoded) === name
    }),
  )
})
