import fc from 'fast-check'
import t from 'tap'
import {
  contentDisposition,
  contradicts,
  isFileName,
  isMediaType,
  isShown,
} from '../../src/media/media-type.ts'

const bytes = (...parts: (string | number[])[]): Uint8Array =>
  Buffer.concat(
    parts.map(part => (typeof part === 'string' ? Buffer.from(part, 'latin1') : Buffer.from(part))),
  )

const box = (...brands: string[]) =>
  bytes([0, 0, 0, 8 + brands.length * 4 + 4], 'ftyp', brands[0]!, [0, 0, 0, 0], ...brands.slice(1))

/** Makes any text readable in a report. */
const shown = (text: string): string =>
  text.replace(/[^\x21-\x7e]/g, char => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)

/** First bytes of files of well-known types. */
const starts: Record<string, Uint8Array> = {
  'image/png': bytes('\x89PNG\r\n\x1a\n', [0, 0, 0, 13]),
  'image/jpeg': bytes([0xff, 0xd8, 0xff, 0xe0]),
  'image/gif': bytes('GIF89a'),
  'image/webp': bytes('RIFF', [1, 2, 3, 4], 'WEBPVP8 '),
  'image/avif': box('avif', 'mif1'),
  'image/heic': box('heic', 'mif1'),
  'application/pdf': bytes('%PDF-1.7'),
  'audio/wav': bytes('RIFF', [1, 2, 3, 4], 'WAVEfmt '),
  'audio/flac': bytes('fLaC'),
  'audio/ogg': bytes('OggS'),
  'video/webm': bytes([0x1a, 0x45, 0xdf, 0xa3]),
  'video/mp4': box('isom', 'mp42'),
  'application/gzip': bytes([0x1f, 0x8b, 8]),
  'audio/mpeg': bytes('ID3'),
  'application/zip': bytes('PK\x03\x04'),
  'application/msword': bytes([0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1]),
}

t.test('files of well-known types have that type and no other', async t => {
  for (const [type, start] of Object.entries(starts)) {
    t.notOk(contradicts(type, start), `${type} is ${type}`)
    t.notOk(contradicts('application/octet-stream', start), 'or anything at all')
    t.ok(contradicts('text/plain', start), 'but no text')
    t.ok(contradicts(type, bytes('just words')), `words are no ${type}`)
    t.ok(contradicts(type, new Uint8Array()), `nothing is no ${type}`)
    t.ok(contradicts(type, start.subarray(0, 1)), `a byte is no ${type}`)
    // HEIF's brand mif1 is also AVIF's, and its box is MP4's: one family, different types.
    for (const other of Object.keys(starts))
      if (other !== type && !(start.subarray(4, 8).toString() === starts[other]!.subarray(4, 8).toString()))
        t.ok(contradicts(other, start), `${type} is no ${other}`)
  }
})

t.test('other names, and other types', async t => {
  const zip = starts['application/zip']!
  t.notOk(contradicts('application/vnd.openxmlformats-officedocument.wordprocessingml.document', zip))
  t.ok(contradicts('application/vnd.openxmlformats-officedocument.wordprocessingml.document', bytes('words')))
  t.notOk(contradicts('application/epub+zip', zip))
  t.notOk(contradicts('video/quicktime', box('qt  ')))
  t.notOk(contradicts('audio/mpeg', bytes([0xff, 0xfb, 0x90])))
  t.notOk(contradicts('text/markdown', bytes('# words')))
  t.notOk(contradicts('text/html', bytes('<!doctype html>')))
  t.ok(contradicts('image/png', bytes('<!doctype html><script>')))
  t.notOk(contradicts('model/gltf-binary', bytes('glTF')))
})

t.test('no bytes make it throw', async () => {
  const types = [...Object.keys(starts), 'text/plain', 'video/quicktime']
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), fc.constantFrom(...types), (start, type) => {
      contradicts(type, start)
      contradicts(type, Buffer.concat([bytes([0, 0, 0, 255], 'ftyp'), start]))
    }),
  )
})

t.test('types that are shown in place cannot contain scripts', async t => {
  for (const type of ['image/png', 'image/jpeg', 'image/webp', 'video/mp4', 'audio/ogg']) t.ok(isShown(type))
  for (const type of ['image/svg+xml', 'text/html', 'application/pdf', 'text/plain', 'application/xhtml+xml'])
    t.notOk(isShown(type))
})

t.test('names and types', async t => {
  for (const name of ['a.png', 'grüne Kanne.png', '茶.txt', '.profile', 'a..b', 'emoji 🫖.gif', '-rf'])
    t.ok(isFileName(name), shown(name))
  for (const name of [
    '',
    ' ',
    '.',
    '..',
    'a/b',
    'a\\b',
    'a\0b',
    'a\nb',
    '\u202egnp.exe',
    'a\u2028b',
    '\ud800',
    '\ufeffa',
  ])
    t.notOk(isFileName(name), shown(name))
  for (const type of ['image/png', 'application/vnd.ms-excel', 'image/svg+xml']) t.ok(isMediaType(type), type)
  for (const type of [
    '',
    'image',
    'image/',
    '/png',
    'image/png; q=1',
    'Image/PNG',
    'image/p ng',
    'a/b/c',
    'image/png\r\nx: y',
  ])
    t.notOk(isMediaType(type), shown(type))
})

t.test('a name is encoded completely in a header, and cannot add to it', async t => {
  t.equal(
    contentDisposition({ name: 'tea "hot"; x=y%.txt', inline: false }),
    `attachment; filename="tea _hot_; x=y_.txt"; filename*=UTF-8''tea%20%22hot%22%3B%20x%3Dy%25.txt`,
  )
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary' }).filter(name => isFileName(name)),
      name => {
        const header = contentDisposition({ name, inline: true })
        const [, encoded] =
          /^inline; filename="[\x20-\x7e]*"; filename\*=UTF-8''([\w.!~%-]*)$/.exec(header) ?? []
        return encoded !== undefined && decodeURIComponent(encoded) === name
      },
    ),
  )
})
