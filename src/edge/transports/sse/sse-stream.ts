import type { HttpResponse } from 'uWebSockets.js'
import { CloseCode } from '../../../events/index.ts'
import type { Frame } from '../../sessions/frames.ts'
import type { Transport, TransportEvents } from '../../sessions/session.ts'

const bytesOf = (frame: Frame): number =>
  typeof frame === 'string' ? Buffer.byteLength(frame) : frame.byteLength

/** The transport of an event stream: an endless HTTP answer. Frames are encoded as Server-Sent Events already. */
export class SseStream implements Transport {
  readonly #res: HttpResponse
  readonly #limit: number
  readonly #events: TransportEvents
  readonly #waiting: Frame[] = []
  #waitingBytes = 0
  /** Size of the frame that uWebSockets.js still buffers; 0 when it accepts more. */
  #stuckBytes = 0
  #isClosed = false
  /** Whether the client has received anything since the last call of `isStuck`. */
  #hasMoved = true

  /** `limit`: bytes that may be buffered. The head of the answer is written. The caller reports aborts to `aborted`. */
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

  /** Only WebSockets have topics. The fan-out sends to event streams one by one. */
  subscribe(): void {}
  unsubscribe(): void {}

  /** Ends the answer. A client without buffered bytes receives the code and the reason first. */
  end(code: number, reason: string): void {
    if (this.#isClosed) return
    this.#isClosed = true
    if (this.#stuckBytes === 0 && code !== CloseCode.tooSlow) {
      const last = `data: ${JSON.stringify({ t: 'closed', code, reason })}\n\n`
      this.#res.cork(() => {
        this.#res.write(last)
        // Not with `closeConnection`: uWebSockets.js would write a header between the chunks. The head has it already.
        this.#res.end()
      })
    } else this.#res.close()
    this.#forget(code)
  }

  /** The client has disconnected. */
  aborted(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#forget(1005)
  }

  /** Returns whether frames are buffered and the client has received nothing since the last call. */
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
