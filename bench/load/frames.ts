import { randomBytes } from 'node:crypto'

/**
 * A `send` request as the generator writes it: every field has a fixed width, so that frames are made once and patched, and so that the bare relay needs no
 * parser. To confab it is a request like any other.
 */
const before = { id: '{"id":"', c: '","t":"send","c":"', m: '","m":"', text: '","text":"' } as const
const width = { id: 8, c: 12, m: 36 } as const
const text =
  'A message as long as they are in a busy channel; some are shorter, few are longer: about 100 bytes.'

const idAt = before.id.length
const cAt = idAt + width.id + before.c.length
const mAt = cAt + width.c + before.m.length

/** Where the fields stand in the payload. */
export const SendLayout = {
  id: { start: idAt, end: idAt + width.id },
  m: { start: mAt, end: mAt + width.m },
} as const

/** The id of the `n`th conversation: 12 characters. */
export const conversationId = (n: number): string => `bench-${String(n).padStart(6, '0')}`
export const userId = (n: number): string => `user-${String(n).padStart(6, '0')}`

const hex = '0123456789abcdef'

const writeHex = (target: Buffer, value: number, end: number, digits: number): void => {
  let rest = value
  for (let at = end - 1; at >= end - digits; at--) {
    target[at] = hex.charCodeAt(rest % 16)
    rest = Math.floor(rest / 16)
  }
}

/** Reads hexadecimal digits; NaN for anything else is not worth its time here. */
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

/** A client's text frame of any payload. The mask is zero: masked it is, as RFC 6455 asks, and costs nothing. */
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

/** A frame that is sent again and again with another number. It may be changed once the answer to it has come. */
export class SendFrame {
  readonly bytes: Buffer
  readonly #payload: number

  constructor(c: string) {
    const m = `00000000-0000-7${randomBytes(2).toString('hex').slice(1)}-8${randomBytes(2).toString('hex').slice(1)}-000000000000`
    const payload = `${before.id}00000000${before.c}${c}${before.m}${m}${before.text}${text}"}`
    this.bytes = clientFrame(Buffer.from(payload))
    this.#payload = this.bytes.length - payload.length
  }

  /** The `k`th message of this run, made at `time` (ms since 1970): the message id is a UUIDv7 whose last 12 digits are `k`. */
  set(k: number, time: number): void {
    const m = this.#payload + SendLayout.m.start
    writeHex(this.bytes, k, this.#payload + SendLayout.id.end, width.id)
    writeHex(this.bytes, Math.floor(time / 0x10000), m + 8, 8)
    writeHex(this.bytes, time % 0x10000, m + 13, 4)
    writeHex(this.bytes, k, m + 36, 12)
  }
}
