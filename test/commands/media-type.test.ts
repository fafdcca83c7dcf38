import fc from 'fast-check'
import t from 'tap'
import { isShown, mayHaveType, normalType, servedType, sniffBytes } from '../../src/media/media-type.ts'
import { samples } from '../harness/sample-files.ts'

/** Makes any text readable in a report. */
const shown = (text: string): string =>
  text.replace(/[^\x21-\x7e]/g, char => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)

t.test('types of devices get their proper name', async t => {
  const cases: [given: string, type: string][] = [
    ['image/png', 'image/png'],
    ['Image/PNG', 'image/png'],
    [' image/png ', 'image/png'],
    ['image/jpg', 'image/jpeg'],
    ['image/pjpeg', 'image/jpeg'],
    ['audio/mp3', 'audio/mpeg'],
    ['audio/x-wav', 'audio/wav'],
    ['audio/x-m4a', 'audio/mp4'],
    ['video/x-m4v', 'video/mp4'],
    ['text/plain; charset=utf-8', 'text/plain'],
    ['text/plain;charset="a;b"', 'text/plain'],
    ['video/webm;codecs="vp9,opus"', 'video/webm'],
    ['application/vnd.ms-excel', 'application/vnd.ms-excel'],
    ['image/svg+xml', 'image/svg+xml'],
    ['', 'application/octet-stream'],
    [' ', 'application/octet-stream'],
    ['; charset=utf-8', 'application/octet-stream'],
    ['*/*', 'application/octet-stream'],
    ['image/*', 'application/octet-stream'],
  ]
  for (const [given, type] of cases) t.equal(normalType(given), type, shown(given))
  for (const bad of [
    'image',
    'image/',
    '/png',
    'image/p ng',
    'a/b/c',
    'image/png\r\nx: y',
    'image/p\0ng',
    'image/png, image/jpeg',
    'imagé/png',
    `image/${'x'.repeat(64)}`,
  ])
    t.equal(normalType(bad), undefined, shown(bad))
})

t.test('a proper type stays as it is, and fits into a header', async () => {
  const part = fc.string({ unit: fc.constantFrom(...'aZ09.+-_*; =é\n\0'.split('')), maxLength: 12 })
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: 'binary', maxLength: 40 }),
        fc.tuple(part, part).map(([one, other]) => `${one}/${other}`),
      ),
      given => {
        const type = normalType(given)
        return (
          type === undefined ||
          (normalType(type) === type &&
            normalType(type.toUpperCase()) === type &&
            normalType(`${type}; a=b`) === type &&
            /^[a-z0-9!#$&^_.+-]+\/[a-z0-9!#$&^_.+-]+$/.test(type))
        )
      },
    ),
  )
})

t.test('types that are shown cannot contain scripts', async t => {
  for (const type of ['image/png', 'image/jpeg', 'image/webp', 'video/mp4', 'audio/ogg']) t.ok(isShown(type))
  for (const type of [
    'image/svg+xml',
    'text/html',
    'application/pdf',
    'text/plain',
    'application/xhtml+xml',
    'video/unheard-of',
    'constructor',
  ])
    t.notOk(isShown(type))
})

t.test('a type that browsers execute is never served', async t => {
  for (const type of [
    'text/html',
    'text/xml',
    'text/css',
    'text/javascript',
    'text/ecmascript',
    'text/jscript',
    'text/x-javascript',
    'application/javascript',
    'application/ecmascript',
    'application/xhtml+xml',
    'application/xml',
    'application/xml-dtd',
    'application/mathml+xml',
    'image/svg+xml',
    'multipart/related',
  ])
    t.equal(servedType(type), 'application/octet-stream', type)
  for (const type of [
    'text/plain',
    'text/csv',
    'application/json',
    'application/pdf',
    'image/png',
    'image/heic',
  ])
    t.equal(servedType(type), type)
})

/** Contents that prove each type, also when only their beginning was read. */
const proofs: [type: string, content: Uint8Array][] = [
  ['image/png', samples.png],
  ['image/jpeg', samples.jpeg],
  ['image/gif', samples.gif],
  ['image/webp', samples.webp],
  ['image/avif', samples.avif],
  ['audio/mpeg', samples.mp3],
  ['audio/wav', samples.wav],
  ['audio/ogg', samples.opus],
  ['audio/aac', samples.aac],
  ['audio/flac', samples.flac],
  ['audio/mp4', samples.m4a],
  ['video/mp4', samples.mp4],
  ['video/webm', samples.webm],
]

t.test('the beginning of a large file suffices', async t => {
  for (const [type, content] of proofs)
    t.ok(
      await mayHaveType(type, Buffer.concat([content, Buffer.alloc(10_000, 7)]).subarray(0, sniffBytes)),
      type,
    )
  // A chunk for colours before the image data, and a cover before the sound, may be larger than what is read.
  const { png } = samples
  const large = Buffer.alloc(12 + 50_000)
  large.writeUInt32BE(50_000)
  large.write('iCCP', 4, 'latin1')
  t.ok(await mayHaveType('image/png', Buffer.concat([png.subarray(0, 33), large]).subarray(0, sniffBytes)))
  t.ok(await mayHaveType('audio/mpeg', samples.mp3WithCover.subarray(0, sniffBytes)))
})

t.test('too few bytes prove nothing, and no bytes make it throw', async t => {
  for (const [type, content] of proofs) {
    t.notOk(await mayHaveType(type, new Uint8Array()), type)
    t.notOk(await mayHaveType(type, content.subarray(0, 1)), type)
  }
  const contents = Object.values(samples)
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...contents),
      fc.nat(600),
      fc.uint8Array({ maxLength: 200 }),
      fc.constantFrom(...proofs.map(([type]) => type)),
      async (content, length, rest, type) => {
        const start = Buffer.concat([content.subarray(0, length), rest])
        return typeof (await mayHaveType(type, start)) === 'boolean'
      },
    ),
    { numRuns: 500 },
  )
})
