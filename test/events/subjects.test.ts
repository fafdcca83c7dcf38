import fc from 'fast-check'
import t from 'tap'
import {
  fnv1a32,
  isId,
  jumpHash,
  parseSubject,
  partitionCount,
  partitionOf,
  signalSubjectOf,
  streamOfPartition,
  subjectOf,
  subjectsOfStream,
} from '../../src/events/index.ts'

const id = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/)
const family = fc.constantFrom('conv' as const, 'user' as const)

t.test('fnv1a32 gives the published test vectors', async t => {
  // Landon Curt Noll's vectors for FNV-1a 32.
  t.equal(fnv1a32(''), 0x811c9dc5)
  t.equal(fnv1a32('a'), 0xe40c292c)
  t.equal(fnv1a32('foobar'), 0xbf9cf968)
})

t.test('ids are 1 to 64 characters of A-Z a-z 0-9 _ -', async t => {
  for (const good of ['a', 'A-Z_09', 'x'.repeat(64)]) t.ok(isId(good), good)
  for (const bad of ['', 'x'.repeat(65), 'a b', 'a.b', 'a*', '>', 'é', 'a\n', 7, null, undefined, {}])
    t.notOk(isId(bad), String(bad))
})

t.test('a stored or live subject identifies its aggregate', async t => {
  fc.assert(
    fc.property(family, id, (family, id) => {
      const subject = subjectOf({ family, id })
      t.same(parseSubject(subject), { family, id })
      t.same(parseSubject(`live.${subject}`), { family, id })
    }),
    { numRuns: 50 },
  )
})

t.test('other subjects have no aggregate', async t => {
  const wrongBucket = `conv.${(partitionOf('abc') + 1) % partitionCount}.abc`
  for (const other of [
    '',
    'conv',
    'conv.1',
    'conv.x.abc',
    wrongBucket,
    'sig.1.abc',
    'conv.1.a.b',
    'live.sig.1.a',
  ])
    t.equal(parseSubject(other), undefined, other)
})

t.test('signals of an id are found by its partition', async t => {
  t.equal(signalSubjectOf('alice'), `sig.${partitionOf('alice')}.alice`)
})

t.test('jump hash: in range, stable, and growing moves keys only to the new bucket', async t => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 0xffffffff }), fc.integer({ min: 1, max: 500 }), (key, buckets) => {
      const before = jumpHash(key, buckets)
      const after = jumpHash(key, buckets + 1)
      return before >= 0 && before < buckets && (after === before || after === buckets)
    }),
  )
  t.throws(() => jumpHash(1, 0), RangeError)
})

t.test('jump hash spreads evenly', async t => {
  const counts = new Array<number>(8).fill(0)
  for (let key = 0; key < 80_000; key++) counts[jumpHash(fnv1a32(String(key)), 8)]! += 1
  for (const count of counts) t.ok(Math.abs(count - 10_000) < 600, `${count} of 10,000`)
})

t.test('every partition is in exactly one stream, for any number of streams', async t => {
  for (const streams of [1, 2, 3, 7, 16]) {
    const seen = new Map<string, number>()
    for (let index = 0; index < streams; index++)
      for (const subject of subjectsOfStream('conv', index, streams)) seen.set(subject, index)
    if (streams === 1) {
      t.same([...seen.keys()], ['conv.*.*'])
      continue
    }
    t.equal(seen.size, partitionCount)
    for (let bucket = 0; bucket < partitionCount; bucket++)
      t.equal(`CONV_${seen.get(`conv.${bucket}.*`)}`, streamOfPartition('conv', bucket, streams))
  }
})
