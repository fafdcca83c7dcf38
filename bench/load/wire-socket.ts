import { connect, type Socket } from 'node:net'
import { connect as connectTls, createSecureContext, type SecureContext } from 'node:tls'
import { clientFrame } from './frames.ts'

/** Receives the bytes of a payload, which are invalid after it returns. */
export type FrameListener = (bytes: Buffer, start: number, end: number) => void

/** All sockets of the process read into this buffer; incomplete frames are copied out. */
const inbox = Buffer.allocUnsafe(256 * 1024)
const empty = Buffer.alloc(0)

const opcodes = { text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const

/** A client process creates its context once, not for each socket. */
const contexts = new Map<string, SecureContext>()

const contextOf = (ca: string): SecureContext => {
  const context = contexts.get(ca) ?? createSecureContext({ ca })
  contexts.set(ca, context)
  return context
}

/** A minimal WebSocket client: no objects per frame, no unmasking, no fragments. It trusts its peer. */
export class WireSocket {
  readonly #socket: Socket
  #rest: Buffer = empty
  #upgraded = false
  onFrame: FrameListener = () => {}
  /** Why it closed; undefined while it is open. */
  closed: string | undefined

  constructor(socket: Socket) {
    this.#socket = socket
  }

  /** `ca`: authority of the server's certificate; without it, no TLS. */
  static open(port: number, path: string, protocol?: string, ca?: string): Promise<WireSocket> {
    return new Promise((resolve, reject) => {
      let wire: WireSocket | undefined
      const options = {
        host: '127.0.0.1',
        port,
        noDelay: true,
        onread: {
          buffer: inbox,
          callback: (bytes: number): boolean => {
            if (wire === undefined) return true
            const upgraded = wire.#upgraded
            wire.#take(bytes)
            if (!upgraded && wire.#upgraded) resolve(wire)
            return true
          },
        },
      }
      const socket =
        ca === undefined ? connect(options) : connectTls({ ...options, secureContext: contextOf(ca) })
      wire = new WireSocket(socket)
      const opened = wire
      socket.on('error', reject)
      socket.on('close', () => {
        opened.closed ??= 'the connection ended'
        reject(new Error(opened.closed))
      })
      socket.write(
        `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
          `Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n` +
          `${protocol === undefined ? '' : `Sec-WebSocket-Protocol: ${protocol}\r\n`}\r\n`,
      )
    })
  }

  write(frame: Buffer): void {
    this.#socket.write(frame)
  }

  /** Stops reading: the server's frames fill the kernel's buffers, then the server's own. */
  pause(): void {
    this.#socket.pause()
  }

  /** Reads again, buffered frames first. */
  read(): void {
    this.#socket.resume()
  }

  close(): void {
    this.closed ??= 'closed here'
    this.#socket.destroy()
  }

  #take(length: number): void {
    let bytes = inbox
    let end = length
    if (this.#rest.length > 0) {
      bytes = Buffer.concat([this.#rest, inbox.subarray(0, length)])
      end = bytes.length
      this.#rest = empty
    }
    let at = 0
    if (!this.#upgraded) {
      const headers = bytes.toString('latin1', 0, end)
      const blank = headers.indexOf('\r\n\r\n')
      if (blank < 0) {
        this.#keep(bytes, 0, end)
        return
      }
      if (!headers.startsWith('HTTP/1.1 101')) {
        this.closed = headers.slice(0, headers.indexOf('\r\n'))
        this.#socket.destroy()
        return
      }
      this.#upgraded = true
      at = blank + 4
    }
    while (end - at >= 2) {
      let size = bytes[at + 1]! & 0x7f
      let payload = at + 2
      if (size === 126) {
        if (end - at < 4) break
        size = bytes.readUInt16BE(at + 2)
        payload = at + 4
      } else if (size === 127) {
        if (end - at < 10) break
        size = Number(bytes.readBigUInt64BE(at + 2))
        payload = at + 10
      }
      const next = payload + size
      if (next > end) break
      const opcode = bytes[at]! & 0x0f
      if (opcode <= opcodes.binary) this.onFrame(bytes, payload, next)
      else if (opcode === opcodes.ping) this.write(clientFrame(bytes.subarray(payload, next), opcodes.pong))
      else if (opcode === opcodes.close)
        this.closed = `close ${size >= 2 ? bytes.readUInt16BE(payload) : ''} ${bytes.toString('utf8', payload + 2, next)}`
      at = next
    }
    this.#keep(bytes, at, end)
  }

  #keep(bytes: Buffer, start: number, end: number): void {
    if (start < end) this.#rest = Buffer.from(bytes.subarray(start, end))
  }
}
