import { randomBytes } from 'node:crypto'

/**
 * A `send` request as the generator writes it: all fields have a fixed width, so frames are built once and patched,
 * and the bare relay needs no parser. For confab it is an ordinary request.
 */
const before = { id: '{"id":"', c: '","t":"send","c":"', m: '","m":"', text: '","text":"' } as const
const width = { id: 8, c: 12, m: 36, at: 12 } as const
const words =
  'A message as long as they are in a busy channel; some are shorter, few are longer: about 100 bytes.'

const idAt = before.id.length
const cAt = idAt + width.id + before.c.length
const mAt = cAt + width.c + before.m.length

/** Offsets of the fields in the payload. */
export const SendLayout = {
  id: { start: idAt, end: idAt + width.id },
  c: { start: cAt, end: cAt + width.c },
  m: { start: mAt, end: mAt + width.m },
} as const

/**
 * The pieces of a request, whatever the protocol: before the id, between id and message id, from there to the text,
 * and to the end.
 */
export interface Template {
  readonly head: string
  /** Digits of the id; decimal ids start at 10,000,000, so none begins with 0. */
  readonly id: 'hex' | 'decimal'
  readonly beforeM: string
  readonly beforeText: string
  readonly tail: string
}

/** The template of confab and the limits. */
export const sendTemplate = (c: string): Template => ({
  head: before.id,
  id: 'hex',
  beforeM: `${before.c}${c}${before.m}`,
  beforeText: before.text,
  tail: '"}',
})

/** Returns the id of the `n`th conversation: 12 characters. */
export const conversationId = (n: number): string => `bench-${String(n).padStart(6, '0')}`
export const userId = (n: number): string => `user-${String(n).padStart(6, '0')}`

/** Microseconds by a clock that all processes of the machine share. */
export const clockMicros = (): number => {
  const [seconds, nanos] = process.hrtime()
  return seconds * 1e6 + Math.floor(nanos / 1000)
}

const hex = '0123456789abcdef'

const writeHex = (target: Buffer, value: number, end: number, digits: number): void => {
  let rest = value
  for (let at = end - 1; at >= end - digits; at--) {
    target[at] = hex.charCodeAt(rest % 16)
    rest = Math.floor(rest / 16)
  }
}

/** Reads hexadecimal digits without validation, for speed. */
export const readHex = (source: Buffer, start: number, end: number): number => {
  let value = 0
  for (let at = start; at < end; at++) {
    const code = source[at]!
    value = value * 16 + (code < 58 ? code - 48 : code - 87)
  }
  return value
}

export const readDecimal = (source: Buffer, start: number): number => {
  let value = 0
  for (let at = start; ; at++) {
    const digit = source[at]! - 48
    if (!(digit >= 0 && digit <= 9)) return value
    value = value * 10 + digit
  }
}

/** Returns a client's text frame. The mask is zero: RFC 6455 requires masking, and this costs nothing. */
export const clientFrame = (payload: Uint8Array, opcode = 1): Buffer => {
  const short = payload.length < 126
  const frame = Buffer.alloc((short ? 6 : 8) + payload.length)
  frame[0] = 0x80 | opcode
  if (short) frame[1] = 0x80 | payload.length
  else {
    frame[1] = 0x80 | 126
    frame.writeUInt16BE(payload.length, 2)
  }
  frame.set(payload, short ? 6 : 8)
  return frame
}

const writeDecimal = (target: Buffer, value: number, end: number, digits: number): void => {
  let rest = value
  for (let at = end - 1; at >= end - digits; at--) {
    target[at] = 48 + (rest % 10)
    rest = Math.floor(rest / 10)
  }
}

/** The smallest decimal id. */
export const firstDecimalId = 10_000_000

/**
 * Returns the text of a message: the time of sending, for measuring latency, and words up to `bytes` (default 99, at
 * least 12).
 */
const textOf = (bytes = words.length): string =>
  words
    .padEnd(bytes, words)
    .slice(0, bytes)
    .replace(/^.{12}/, '0'.repeat(width.at))

const textField = Buffer.from(before.text.slice(2))

/** Returns the time of sending of a delivered frame, by `clockMicros`; NaN for a frame without text. */
export const sentMicros = (bytes: Buffer, start: number, end: number): number => {
  const at = bytes.indexOf(textField, start)
  return at < 0 || at > end
    ? Number.NaN
    : readHex(bytes, at + textField.length, at + textField.length + width.at)
}

/** A frame that is sent repeatedly with another number. It may be changed after its answer arrived. */
export class SendFrame {
  readonly bytes: Buffer
  readonly #idEnd: number
  readonly #m: number
  readonly #text: number
  readonly #isHex: boolean

  /** `textBytes`: default 99. */
  constructor({ head, id, beforeM, beforeText, tail }: Template, textBytes?: number) {
    const m = `00000000-0000-7${randomBytes(2).toString('hex').slice(1)}-8${randomBytes(2).toString('hex').slice(1)}-000000000000`
    const payload = `${head}${'0'.repeat(width.id)}${beforeM}${m}${beforeText}${textOf(textBytes)}${tail}`
    this.bytes = clientFrame(Buffer.from(payload))
    this.#isHex = id === 'hex'
    this.#idEnd = this.bytes.length - payload.length + head.length + width.id
    this.#m = this.#idEnd + beforeM.length
    this.#text = this.#m + width.m + beforeText.length
  }

  /**
   * Sets the `k`th message of this run, created at `time` (ms since 1970): its id is a UUIDv7 with `k` in the last 12
   * digits. `lateMs`: how long ago it was due.
   */
  set(k: number, time: number, lateMs = 0): void {
    if (this.#isHex) writeHex(this.bytes, k, this.#idEnd, width.id)
    else writeDecimal(this.bytes, firstDecimalId + k, this.#idEnd, width.id)
    writeHex(this.bytes, Math.floor(time / 0x10000), this.#m + 8, 8)
    writeHex(this.bytes, time % 0x10000, this.#m + 13, 4)
    writeHex(this.bytes, k, this.#m + width.m, 12)
    writeHex(this.bytes, clockMicros() - Math.round(lateMs * 1000), this.#text + width.at, width.at)
  }
}
