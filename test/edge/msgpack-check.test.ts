import fc from 'fast-check'
import { Packr } from 'msgpackr'
import t from 'tap'
import { isSafeMsgpack, maxDepth } from '../../src/edge/sessions/msgpack-check.ts'

const packr = new Packr({ useRecords: false })
const pack = (value: unknown) => Buffer.from(packr.pack(value))

const nested = (depth: number): unknown => (depth === 0 ? 1 : [nested(depth - 1)])

t.test('any JSON value is safe, and unsafe when truncated or extended', async () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 5 }), fc.nat(), (value, cut) => {
      const bytes = pack(value)
      return (
        isSafeMsgpack(bytes) &&
        !isSafeMsgpack(bytes.subarray(0, cut % bytes.length)) &&
        !isSafeMsgpack(Buffer.concat([bytes, Buffer.from([0xc0])]))
      )
    }),
  )
})

t.test('any bytes are judged without reading beyond them', async () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 64 }),
      bytes => typeof isSafeMsgpack(Buffer.from(bytes)) === 'boolean',
    ),
    { numRuns: 2000 },
  )
})

t.test('depth is bounded', async t => {
  t.ok(isSafeMsgpack(pack(nested(maxDepth))))
  t.notOk(isSafeMsgpack(pack(nested(maxDepth + 1))))
  t.notOk(isSafeMsgpack(Buffer.alloc(65_536, 0x91)))
})

t.test('a length beyond the bytes is refused before any allocation', async t => {
  for (const bytes of [
    [0xdd, 0xff, 0xff, 0xff, 0xff],
    [0xdf, 0xff, 0xff, 0xff, 0xff],
    [0xdb, 0xff, 0xff, 0xff, 0xff],
    [0xc6, 0xff, 0xff, 0xff, 0xff],
    [0xdc, 0xff, 0xff],
    [0xdd, 0x00],
  ])
    t.notOk(isSafeMsgpack(Buffer.from(bytes)), String(bytes))
})

t.test('extension types and strings that are not UTF-8 are refused', async t => {
  t.notOk(isSafeMsgpack(pack(new Date())))
  t.notOk(isSafeMsgpack(Buffer.from([0xd4, 0x01, 0x00])))
  t.notOk(isSafeMsgpack(Buffer.from([0xc7, 0x01, 0x78, 0x00])))
  t.notOk(isSafeMsgpack(Buffer.from([0xa2, 0xc3, 0x28])))
  t.notOk(isSafeMsgpack(Buffer.from([0xa3, 0xed, 0xa0, 0x80])), 'half of a surrogate pair')
  t.notOk(isSafeMsgpack(Buffer.from([0xc1])))
})
