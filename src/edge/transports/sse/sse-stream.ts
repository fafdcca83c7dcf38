import type { HttpResponse } from 'uWebSockets.js'
import { CloseCode } from '../../../events/index.ts'
import type { Frame } from '../../sessions/frames.ts'
import type { Transport, TransportEvents } from '../../sessions/session.ts'

const bytesOf = (frame: Frame): number =>
  typeof frame === 'string' ? Buffer.byteLength(frame) : frame.byteLength

/** An HTTP answer that does not end: frames, in the format of Server-Sent Events already, to a client that takes them or not. */
export class EventStream implements Transport {
  readonly #res: HttpResponse
  readonly #limit: number
  readonly #events: TransportEvents
  readonly #waiting: Frame[] = []
  #waitingBytes = 0
  /** Of the frame that the transport has not got rid of; 0 when it takes more. */
  #stuckBytes = 0
  #isClosed = false
  /** Whether the client has taken anything since `isStuck` was asked. */
  #hasMoved = true

  /** `limit`: bytes that may wait. The answer's head has been written; whoever has it tells `aborted`. */
  constructor(res: HttpResponse, limit: number, events: TransportEvents) {
    this.#res = res
    this.#limit = limit
    this.#events = events
    res.onWritable(() => {
      this.#writable()
      return true
    })
  }

  send(frame: Frame): void {
    if (this.#isClosed) return
    if (this.#stuckBytes === 0) {
      this.#res.cork(() => this.#write(frame))
      return
    }
    const bytes = bytesOf(frame)
    if (this.#waitingBytes + bytes > this.#limit) {
      this.#events.dropped()
      this.end(CloseCode.tooSlow, 'too slow')
      return
    }
    this.#waiting.push(frame)
    this.#waitingBytes += bytes
  }

  cork(send: () => void): void {
    if (!this.#isClosed) this.#res.cork(send)
  }

  getBufferedAmount(): number {
    return this.#waitingBytes + this.#stuckBytes
  }

  /** Topics are for sockets; a topic sends to streams one by one. */
  subscribe(): void {}
  unsubscribe(): void {}

  /** A client that has room is told why. */
  end(code: number, reason: string): void {
    if (this.#isClosed) return
    this.#isClosed = true
    if (this.#stuckBytes === 0 && code !== CloseCode.tooSlow) {
      const last = `data: ${JSON.stringify({ t: 'closed', code, reason })}\n\n`
      this.#res.cork(() => {
        this.#res.write(last)
        this.#res.end(undefined, true)
      })
    } else this.#res.close()
    this.#forget(code)
  }

  /** The client has gone. */
  aborted(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#forget(1005)
  }

  /** Whether something has waited, and nothing of it was taken, since this was asked last. */
  isStuck(): boolean {
    const isStuck = this.#stuckBytes > 0 && !this.#hasMoved
    this.#hasMoved = false
    return isStuck
  }

  #write(frame: Frame): void {
    this.#stuckBytes = this.#res.write(frame) ? 0 : bytesOf(frame)
  }

  #writable(): void {
    if (this.#isClosed) return
    this.#hasMoved = true
    this.#stuckBytes = 0
    this.#res.cork(() => {
      let sent = 0
      while (this.#stuckBytes === 0 && sent < this.#waiting.length) {
        const frame = this.#waiting[sent++]!
        this.#waitingBytes -= bytesOf(frame)
        this.#write(frame)
      }
      this.#waiting.splice(0, sent)
    })
    this.#events.moved()
  }

  #forget(code: number): void {
    this.#waiting.length = 0
    this.#waitingBytes = 0
    this.#stuckBytes = 0
    this.#events.closed(code)
  }
}
