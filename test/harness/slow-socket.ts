import { connect, type Socket } from 'node:net'

type Fields = Record<string, unknown>

const opcodeText = 0x81

/** Returns a client's text frame, masked with zeros. RFC 6455, 5.2. */
const frameOf = (text: string): Buffer => {
  const payload = Buffer.from(text)
  const length =
    payload.length < 126
      ? Buffer.from([0x80 | payload.length])
      : Buffer.from([0x80 | 126, payload.length >> 8, payload.length & 0xff])
  return Buffer.concat([Buffer.from([opcodeText]), length, Buffer.alloc(4), payload])
}

/** A socket that reads only on demand: unread frames stay buffered at the server. */
export class SlowSocket {
  /** The frames read so far. */
  readonly frames: Fields[] = []
  readonly closed: Promise<void>
  readonly #socket: Socket
  #rest = Buffer.alloc(0)

  constructor(socket: Socket) {
    this.#socket = socket
    this.closed = new Promise(resolve => socket.once('close', () => resolve()))
    socket.on('error', () => {})
    socket.on('data', chunk => this.#received(chunk as Buffer))
  }

  static async open(port: number): Promise<SlowSocket> {
    const socket = connect(port, '127.0.0.1')
    socket.write(
      'GET /v1/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    )
    await new Promise(resolve => socket.once('data', resolve))
    return new SlowSocket(socket)
  }

  send(request: Fields): void {
    this.#socket.write(frameOf(JSON.stringify(request)))
  }

  /** Sends any bytes, frames or not. */
  write(bytes: Uint8Array): void {
    this.#socket.write(bytes)
  }

  stopReading(): void {
    this.#socket.pause()
  }

  goOnReading(): void {
    this.#socket.resume()
  }

  async until(matches: (frame: Fields) => boolean): Promise<Fields> {
    for (;;) {
      const found = this.frames.find(matches)
      if (found !== undefined) return found
      await new Promise(resolve => this.#socket.once('data', resolve))
    }
  }

  close(): void {
    this.#socket.destroy()
  }

  #received(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk])
    for (;;) {
      const short = this.#rest[1]
      if (short === undefined) return
      const header = short < 126 ? 2 : short === 126 ? 4 : 10
      if (this.#rest.length < header) return
      const length =
        short < 126
          ? short
          : short === 126
            ? this.#rest.readUInt16BE(2)
            : Number(this.#rest.readBigUInt64BE(2))
      if (this.#rest.length < header + length) return
      if (this.#rest[0] === opcodeText)
        this.frames.push(JSON.parse(this.#rest.toString('utf8', header, header + length)) as Fields)
      this.#rest = this.#rest.subarray(header + length)
    }
  }
}
