import { createHash, type Hash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import type { SourcePosition } from './import-item.ts'

/** The bytes of a line without its line end. `too long`: the line exceeds the limit, and its bytes are dropped. */
export type RawLine = Buffer | 'too long'

export interface LineBlock {
  readonly lines: readonly RawLine[]
  /** Position after these lines. */
  readonly end: SourcePosition
}

const newline = 0x0a

/** Bytes of one read. Blocks end at a line end, so that a checkpoint is always between two lines. */
const blockBytes = 256 * 1024

/**
 * Yields the lines of a file in blocks, after a position if its digest matches the file, otherwise from the start. A
 * line ends with `\n` or `\r\n`; the last line may end without. Needs memory for one block and `maxBytes` of a line.
 */
export async function* readLines(
  path: string,
  after: SourcePosition | undefined,
  maxBytes: number,
): AsyncIterable<LineBlock> {
  const resumed = after === undefined ? undefined : await hashUpTo(path, after)
  const hash = resumed ?? createHash('sha256')
  let bytes = resumed === undefined ? 0 : (after?.bytes ?? 0)
  let count = resumed === undefined ? 0 : (after?.lines ?? 0)
  let carry: Buffer[] = []
  let carried = 0
  let isTooLong = false

  const block = (lines: RawLine[]): LineBlock => {
    count += lines.length
    return { lines, end: { bytes, lines: count, digest: hash.copy().digest('hex') } }
  }
  const take = (piece: Buffer): RawLine => {
    const line =
      isTooLong || carried + piece.length > maxBytes ? 'too long' : trimEnd(Buffer.concat([...carry, piece]))
    carry = []
    carried = 0
    isTooLong = false
    return line
  }

  for await (const chunk of createReadStream(path, {
    start: bytes,
    highWaterMark: blockBytes,
  }) as AsyncIterable<Buffer>) {
    const lines: RawLine[] = []
    let start = 0
    for (let at = chunk.indexOf(newline); at >= 0; at = chunk.indexOf(newline, start)) {
      bytes += carried + at + 1 - start
      lines.push(take(chunk.subarray(start, at)))
      start = at + 1
    }
    hash.update(chunk.subarray(0, start))
    if (lines.length > 0) yield block(lines)
    const rest = chunk.subarray(start)
    hash.update(rest)
    carried += rest.length
    isTooLong ||= carried > maxBytes
    if (isTooLong) carry = []
    else if (rest.length > 0) carry.push(Buffer.from(rest))
  }
  if (carried > 0) {
    bytes += carried
    yield block([take(Buffer.alloc(0))])
  }
}

const trimEnd = (line: Buffer): Buffer => (line.at(-1) === 0x0d ? line.subarray(0, -1) : line)

/** Returns the hash of the start of a file, to continue. Undefined: it differs from the digest of the position. */
const hashUpTo = async (path: string, { bytes, digest }: SourcePosition): Promise<Hash | undefined> => {
  const hash = createHash('sha256')
  if (bytes === 0) return hash
  for await (const chunk of createReadStream(path, { end: bytes - 1 })) hash.update(chunk as Buffer)
  return hash.copy().digest('hex') === digest ? hash : undefined
}

/** Returns a key for a file from its format and its first bytes. */
export const sourceKey = async (format: string, path: string): Promise<string> => {
  const file = await open(path)
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(4096), 0, 4096, 0)
    return createHash('sha256')
      .update(`${format}\n`)
      .update(buffer.subarray(0, bytesRead))
      .digest('hex')
      .slice(0, 32)
  } finally {
    await file.close()
  }
}
