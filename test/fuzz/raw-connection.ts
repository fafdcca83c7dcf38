import { connect, type Socket } from 'node:net'
import { checkSecrecy } from './answer-check.ts'

/** A TCP connection from an address of its own, which sends any bytes and keeps what it receives. */
export class RawConnection {
  readonly socket: Socket
  /** Received bytes that the reader has not taken. */
  unread: Buffer = Buffer.alloc(0)
  isClosed = false
  /** The last bytes that were checked: content of a victim may be split over two reads. */
  #tail = ''
  #failure: unknown
  #wake: (() => void) | undefined

  constructor(port: number, localAddress: string) {
    this.socket = connect({ port, host: '127.0.0.1', localAddress })
    this.socket.setNoDelay(true)
    this.socket.on('error', () => {})
    this.socket.on('data', (chunk: Buffer) => {
      this.unread = this.unread.length === 0 ? chunk : Buffer.concat([this.unread, chunk])
      const text = this.#tail + chunk.toString('latin1')
      this.#tail = text.slice(-200)
      try {
        checkSecrecy(text)
      } catch (finding) {
        this.#failure ??= finding
      }
      this.#wake?.()
    })
    this.socket.on('close', () => {
      this.isClosed = true
      this.#wake?.()
    })
  }

  write(bytes: Uint8Array | string): void {
    if (!this.isClosed && this.socket.writable) this.socket.write(bytes)
  }

  /**
   * Resolves with true when `holds` returns true, which is asked whenever bytes arrive; with false when the connection
   * closes or the time ends first. Throws Finding for bytes that a stranger must not receive.
   */
  async until(holds: () => boolean, ms: number): Promise<boolean> {
    let isOver = false
    const timer = setTimeout(() => {
      isOver = true
      this.#wake?.()
    }, ms)
    try {
      for (;;) {
        if (this.#failure !== undefined) throw this.#failure
        if (holds()) return true
        if (isOver || this.isClosed) return false
        await new Promise<void>(resolve => {
          this.#wake = resolve
        })
      }
    } finally {
      clearTimeout(timer)
      this.#wake = undefined
    }
  }

  /** Ends the connection with FIN; the server may still answer. */
  halfClose(): void {
    this.socket.end()
  }

  /** Closes at once: with RST when bytes are unread. */
  close(): void {
    this.socket.destroy()
  }
}
