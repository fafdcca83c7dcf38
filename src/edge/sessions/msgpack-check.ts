import { isUtf8 } from 'node:buffer'

/**
 * Depth of nested objects and arrays in a request. The protocol needs `Limits.dataDepth` and one more; with a few more
 * levels the error names the data, not the frame.
 */
export const maxDepth = 64

/** Bytes of the length field that follows a type byte: binary, string, array, map. */
const lengthBytes = new Map([
  [0xc4, 1],
  [0xc5, 2],
  [0xc6, 4],
  [0xd9, 1],
  [0xda, 2],
  [0xdb, 4],
  [0xdc, 2],
  [0xdd, 4],
  [0xde, 2],
  [0xdf, 4],
])

/** Bytes of the value that follows a type byte: nil, booleans, floats, integers. */
const scalarBytes = new Map([
  [0xc0, 0],
  [0xc2, 0],
  [0xc3, 0],
  [0xca, 4],
  [0xcb, 8],
  [0xcc, 1],
  [0xcd, 2],
  [0xce, 4],
  [0xcf, 8],
  [0xd0, 1],
  [0xd1, 2],
  [0xd2, 4],
  [0xd3, 8],
])

/** Strings up to this size are checked byte by byte first: most are ASCII, and a frame may have tens of thousands. */
const shortBytes = 32

const isAscii = (bytes: Buffer, start: number, end: number): boolean => {
  for (let at = start; at < end; at++) if (bytes[at]! >= 0x80) return false
  return true
}

const hasUtf8 = (bytes: Buffer, start: number, end: number): boolean =>
  (end - start <= shortBytes && isAscii(bytes, start, end)) || isUtf8(bytes.subarray(start, end))

const readLength = (bytes: Buffer, at: number, size: number): number =>
  at + size > bytes.length ? Number.POSITIVE_INFINITY : bytes.readUIntBE(at, size)

/**
 * Returns whether bytes are exactly one MessagePack value that is safe to decode: complete, at most `maxDepth` deep,
 * with UTF-8 strings, no extension types, and no length field that exceeds the bytes. A decoder allocates the length
 * before it notices that items are missing.
 */
export const isSafeMsgpack = (bytes: Buffer): boolean => {
  const left: number[] = [1]
  let at = 0
  while (left.length > 0) {
    if (left[left.length - 1] === 0) {
      left.pop()
      continue
    }
    left[left.length - 1]!--
    const type = bytes[at++]
    if (type === undefined) return false
    if (type < 0x80 || type >= 0xe0) continue
    let items = -1
    let chars = -1
    if (type < 0x90) items = (type & 0x0f) * 2
    else if (type < 0xa0) items = type & 0x0f
    else if (type < 0xc0) chars = type & 0x1f
    else {
      const scalar = scalarBytes.get(type)
      if (scalar !== undefined) {
        at += scalar
        continue
      }
      const size = lengthBytes.get(type)
      if (size === undefined) return false
      const length = readLength(bytes, at, size)
      at += size
      if (type <= 0xc6) {
        at += length
        continue
      }
      if (type <= 0xdb) chars = length
      else items = type <= 0xdd ? length : length * 2
    }
    if (chars >= 0) {
      if (at + chars > bytes.length || !hasUtf8(bytes, at, at + chars)) return false
      at += chars
    } else {
      if (items > bytes.length - at || left.length >= maxDepth + 1) return false
      left.push(items)
    }
  }
  return at === bytes.length
}
