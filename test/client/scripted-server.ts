import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'

export type Frame = Record<string, unknown> & { id: string; t: string }

/** One socket of a client, as the server sees it. */
export interface ScriptedSocket {
  /** Received frames in order, `hello` included. */
  readonly frames: Frame[]
  /** Resolves with the next frame of a type that was not returned before. */
  next(t: string): Promise<Frame>
  send(frame: unknown): void
  sendRaw(text: string): void
  answer(frame: Frame, fields?: object): void
  refuse(frame: Frame, code: string, more?: object): void
  /** Answers the hello. */
  greet(user?: string): Promise<Frame>
  close(code: number): void
  /** Cuts the connection without a close frame. */
  cut(): void
  readonly ended: Promise<void>
}

/** A WebSocket server (RFC 6455, text frames) that follows a test's script. */
export const startScriptedServer = async () => {
  const sockets: ScriptedSocket[] = []
  let taken = 0
  let wake = Promise.withResolvers<void>()
  const http = createServer()
  const raw = new Set<Duplex>()

  http.on('upgrade', (request, stream: Duplex) => {
    raw.add(stream)
    const accept = createHash('sha1')
      .update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
      .digest('base64')
    stream.write(
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
        `Sec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: ${request.headers['sec-websocket-protocol']}\r\n\r\n`,
    )
    sockets.push(scripted(stream))
    wake.resolve()
    wake = Promise.withResolvers()
  })
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')

  return {
    url: `ws://127.0.0.1:${(http.address() as AddressInfo).port}/v1/ws`,
    sockets,
    /** Resolves with the next socket that a client opens. */
    async socket(): Promise<ScriptedSocket> {
      while (sockets.length <= taken) await wake.promise
      return sockets[taken++] as ScriptedSocket
    },
    async stop(): Promise<void> {
      for (const stream of raw) stream.destroy()
      http.close()
      await once(http, 'close')
    },
  }
}

const scripted = (stream: Duplex): ScriptedSocket => {
  const frames: Frame[] = []
  const returned = new Set<Frame>()
  const ended = once(stream, 'close').then(() => {})
  let wake = Promise.withResolvers<void>()
  let buffered = Buffer.alloc(0)
  let closing = false

  stream.on('error', () => {})
  stream.on('data', (chunk: Buffer) => {
    buffered = Buffer.concat([buffered, chunk])
    for (let frame = take(); frame !== undefined; frame = take()) {
      if (frame.opcode === 1) frames.push(JSON.parse(frame.payload.toString()))
      if (frame.opcode === 8) {
        if (!closing) stream.write(encode(8, frame.payload))
        stream.end()
      }
    }
    wake.resolve()
    wake = Promise.withResolvers()
  })

  /** Takes a complete (masked) client frame from the buffer. */
  const take = (): { opcode: number; payload: Buffer } | undefined => {
    if (buffered.length < 6) return undefined
    let length = (buffered[1] ?? 0) & 0x7f
    let at = 2
    if (length === 126) {
      length = buffered.readUInt16BE(2)
      at = 4
    }
    if (buffered.length < at + 4 + length) return undefined
    const mask = buffered.subarray(at, at + 4)
    const payload = Buffer.from(buffered.subarray(at + 4, at + 4 + length)).map(
      (byte, i) => byte ^ (mask[i % 4] ?? 0),
    )
    const opcode = (buffered[0] ?? 0) & 0x0f
    buffered = buffered.subarray(at + 4 + length)
    return { opcode, payload: Buffer.from(payload) }
  }

  const socket: ScriptedSocket = {
    frames,
    ended,
    async next(t) {
      for (;;) {
        const frame = frames.find(f => f.t === t && !returned.has(f))
        if (frame !== undefined) {
          returned.add(frame)
          return frame
        }
        await wake.promise
      }
    },
    send: frame => socket.sendRaw(JSON.stringify(frame)),
    sendRaw: text => void stream.write(encode(1, Buffer.from(text))),
    answer: (frame, fields = {}) => socket.send({ re: frame.id, ok: true, ...fields }),
    refuse: (frame, code, more = {}) =>
      socket.send({
        re: frame.id,
        ok: false,
        error: { code, message: `it is ${code}`, retryable: false, ...more },
      }),
    async greet(user = 'alice') {
      const hello = await socket.next('hello')
      socket.answer(hello, { user, session: 's', epoch: 1, heartbeatMs: 25_000, limits: {} })
      return hello
    },
    close: code => {
      closing = true
      stream.write(encode(8, Buffer.from([code >> 8, code & 0xff])))
    },
    cut: () => void stream.destroy(),
  }
  return socket
}

const encode = (opcode: number, payload: Buffer): Buffer => {
  const head =
    payload.length < 126
      ? Buffer.from([0x80 | opcode, payload.length])
      : Buffer.from([0x80 | opcode, 126, payload.length >> 8, payload.length & 0xff])
  return Buffer.concat([head, payload])
}
