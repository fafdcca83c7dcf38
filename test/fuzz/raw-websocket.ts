import { Packr, Unpackr } from 'msgpackr'
import { Finding } from './answer-check.ts'
import type { Fields } from './arbitrary-requests.ts'
import { RawConnection } from './raw-connection.ts'

export type Encoding = 'json' | 'msgpack'

const packr = new Packr({ useRecords: false, useToJSON: false })
const unpackr = new Unpackr({ useRecords: false, int64AsType: 'number' })

/** Returns a request as bytes; a value that the encoding lacks becomes another one. */
export const encoded = (request: Fields, encoding: Encoding): Buffer =>
  encoding === 'msgpack' ? packr.pack(request) : Buffer.from(JSON.stringify(request))

export const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const

const mask = Buffer.from([1, 2, 3, 4])

export interface FrameHead {
  readonly opcode: number
  readonly isLast?: boolean
  /** The reserved bits, which no extension of this client uses. */
  readonly reserved?: number
  /** Default: as RFC 6455 requires of clients. */
  readonly isMasked?: boolean
  /** The length in the header. Default: that of the payload. */
  readonly length?: number
}

/** Returns a frame of RFC 6455, 5.2. */
export const frameOf = (payload: Uint8Array, head: FrameHead): Buffer => {
  const { opcode, isLast = true, reserved = 0, isMasked = true, length = payload.length } = head
  const first = (isLast ? 0x80 : 0) | ((reserved & 7) << 4) | opcode
  const bit = isMasked ? 0x80 : 0
  const size =
    length < 126
      ? Buffer.from([bit | length])
      : length < 65_536
        ? Buffer.from([bit | 126, length >> 8, length & 0xff])
        : Buffer.concat([Buffer.from([bit | 127]), bigEndian(length)])
  const sent = isMasked ? Buffer.from(payload.map((byte, i) => byte ^ mask[i % 4]!)) : payload
  return Buffer.concat([Buffer.from([first]), size, ...(isMasked ? [mask] : []), sent])
}

const bigEndian = (length: number): Buffer => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(length))
  return bytes
}

/** A WebSocket without a library: it can break every rule of the protocol, and checks that the server breaks none. */
export class RawWebSocket {
  readonly connection: RawConnection
  readonly encoding: Encoding
  /** Received frames that hold a value, in order. */
  readonly frames: Fields[] = []
  /** Close code of the server, if it has sent one. */
  closeCode: number | undefined
  isOpen = false

  constructor(port: number, address: string, encoding: Encoding, head: readonly string[] = []) {
    this.connection = new RawConnection(port, address)
    this.encoding = encoding
    this.connection.write(
      [
        'GET /v1/ws HTTP/1.1',
        'Host: localhost',
        'Upgrade: websocket',
        'Connection: Upgrade',
        'Sec-WebSocket-Version: 13',
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
        `Sec-WebSocket-Protocol: confab.v1.${encoding}`,
        ...head,
        '',
        '',
      ].join('\r\n'),
    )
  }

  /** Resolves with whether the server has accepted the WebSocket. */
  async opened(ms: number): Promise<boolean> {
    const end = () => this.connection.unread.indexOf('\r\n\r\n')
    if (!(await this.connection.until(() => end() >= 0, ms))) return false
    const head = this.connection.unread.toString('latin1', 0, end())
    this.connection.unread = this.connection.unread.subarray(end() + 4)
    this.isOpen = head.startsWith('HTTP/1.1 101 ')
    return this.isOpen
  }

  send(payload: Uint8Array, head?: FrameHead): void {
    const opcode = this.encoding === 'msgpack' ? opcodes.binary : opcodes.text
    this.connection.write(frameOf(payload, head ?? { opcode }))
  }

  /** As `RawConnection.until`, with all received frames decoded. */
  until(holds: () => boolean, ms: number): Promise<boolean> {
    return this.connection.until(() => {
      this.#decode()
      return holds()
    }, ms)
  }

  #decode(): void {
    for (;;) {
      const { unread } = this.connection
      const short = unread[1]
      if (short === undefined) return
      const header = short < 126 ? 2 : short === 126 ? 4 : 10
      if (unread.length < header) return
      const length =
        short < 126 ? short : short === 126 ? unread.readUInt16BE(2) : Number(unread.readBigUInt64BE(2))
      if (unread.length < header + length) return
      const payload = unread.subarray(header, header + length)
      this.connection.unread = unread.subarray(header + length)
      this.#received(unread[0]!, payload)
    }
  }

  #received(first: number, payload: Buffer): void {
    if ((first & 0xf0) !== 0x80) throw new Finding(`the server sent a frame that starts with ${first}`)
    const opcode = first & 0x0f
    if (opcode === opcodes.close) {
      if (payload.length >= 2) this.closeCode = payload.readUInt16BE(0)
    } else if (opcode === opcodes.ping) this.send(payload, { opcode: opcodes.pong })
    else if (opcode === (this.encoding === 'msgpack' ? opcodes.binary : opcodes.text))
      this.frames.push(this.#valueOf(payload))
    else if (opcode !== opcodes.pong) throw new Finding(`the server sent a frame with opcode ${opcode}`)
  }

  #valueOf(payload: Buffer): Fields {
    try {
      return this.encoding === 'msgpack'
        ? (unpackr.unpack(payload) as Fields)
        : (JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload)) as Fields)
    } catch (error) {
      throw new Finding(`the server sent a frame that cannot be decoded: ${error}`)
    }
  }

  close(): void {
    this.connection.close()
  }
}
