import fc from 'fast-check'

/** One change of some bytes. `at` is a place from 0 to 1, so that it fits bytes of any length. */
export type ByteEdit =
  | { readonly kind: 'set'; readonly at: number; readonly byte: number }
  | { readonly kind: 'flip'; readonly at: number; readonly bit: number }
  | { readonly kind: 'insert'; readonly at: number; readonly bytes: readonly number[] }
  | { readonly kind: 'remove'; readonly at: number; readonly count: number }
  | { readonly kind: 'repeat'; readonly at: number; readonly count: number; readonly times: number }
  | { readonly kind: 'cut'; readonly at: number }

const at = fc.integer({ min: 0, max: 1_000 }).map(place => place / 1_000)
const byte = fc.oneof(
  fc.nat({ max: 255 }),
  fc.constantFrom(0, 0x0a, 0x0d, 0x20, 0x22, 0x3a, 0x7f, 0x80, 0xc3, 0xed, 0xff, 0xc1, 0xdd, 0xdf),
)

/** Edits of bytes: invalid UTF-8, wrong lengths, cut and repeated pieces. */
export const byteEdits: fc.Arbitrary<readonly ByteEdit[]> = fc.array(
  fc.oneof<fc.Arbitrary<ByteEdit>[]>(
    fc.record({ kind: fc.constant('set' as const), at, byte }),
    fc.record({ kind: fc.constant('flip' as const), at, bit: fc.nat({ max: 7 }) }),
    fc.record({
      kind: fc.constant('insert' as const),
      at,
      bytes: fc.array(byte, { minLength: 1, maxLength: 8 }),
    }),
    fc.record({ kind: fc.constant('remove' as const), at, count: fc.integer({ min: 1, max: 16 }) }),
    fc.record({
      kind: fc.constant('repeat' as const),
      at,
      count: fc.integer({ min: 1, max: 8 }),
      times: fc.constantFrom(2, 50, 3_000),
    }),
    fc.record({ kind: fc.constant('cut' as const), at }),
  ),
  { minLength: 1, maxLength: 4 },
)

/** Returns the edited bytes. */
export const edited = (bytes: Uint8Array, edits: readonly ByteEdit[]): Buffer => {
  let now = Buffer.from(bytes)
  for (const edit of edits) {
    const place = Math.min(now.length, Math.floor(edit.at * now.length))
    const [before, after] = [now.subarray(0, place), now.subarray(place)]
    switch (edit.kind) {
      case 'set':
        if (place < now.length) now[place] = edit.byte
        break
      case 'flip':
        if (place < now.length) now[place]! ^= 1 << edit.bit
        break
      case 'insert':
        now = Buffer.concat([before, Buffer.from(edit.bytes), after])
        break
      case 'remove':
        now = Buffer.concat([before, after.subarray(edit.count)])
        break
      case 'repeat': {
        const piece = after.subarray(0, edit.count)
        now = Buffer.concat([before, ...Array.from({ length: edit.times }, () => piece), after])
        break
      }
      case 'cut':
        now = Buffer.from(before)
    }
  }
  return now
}
