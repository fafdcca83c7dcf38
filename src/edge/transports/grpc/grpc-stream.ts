import { Metadata, type ServerDuplexStream, status } from '@grpc/grpc-js'
import { CloseCode, Limits } from '../../../events/index.ts'
import type { Frame } from '../../sessions/frames.ts'
import type { Transport, TransportEvents } from '../../sessions/session.ts'
import { encodeMessage } from './grpc-messages.ts'

export type GrpcCall = ServerDuplexStream<Buffer, Buffer>

/** Bytes that a call may still have to send when it ends. */
const lastBytes = 2 * Limits.frameBytes

/** RFC 6455's code for an internal error. */
const internalError = 1011

/** Of a close code, the status that a client's library takes the same way. The code itself is in the trailing metadata. */
const statuses: Readonly<Record<number, status>> = {
  [CloseCode.goingAway]: status.UNAVAILABLE,
  [CloseCode.policy]: status.INVALID_ARGUMENT,
  [CloseCode.tooBig]: status.RESOURCE_EXHAUSTED,
  [CloseCode.unauthenticated]: status.UNAUTHENTICATED,
  [CloseCode.helloTimeout]: status.DEADLINE_EXCEEDED,
  [CloseCode.replaced]: status.ABORTED,
  [CloseCode.tooSlow]: status.RESOURCE_EXHAUSTED,
  [CloseCode.tooManySockets]: status.RESOURCE_EXHAUSTED,
  [internalError]: status.INTERNAL,
}

/** Ends a call with a close code of the protocol, after what was written to it. */
export const endCall = (call: GrpcCall, code: number, reason: string): void => {
  const metadata = new Metadata()
  metadata.set('confab-close-code', String(code))
  // How grpc-js has it: a stream's error is the call's status.
  call.emit(
    'error',
    Object.assign(new Error(reason), { code: statuses[code] ?? status.UNKNOWN, details: reason, metadata }),
  )
}

/** A call of the service as what a session sends over. One message at a time is with the library; the rest waits here, so that it can be let go. */
export class GrpcStream implements Transport {
  readonly #call: GrpcCall
  readonly #limit: number
  readonly #events: TransportEvents
  readonly #waiting: Buffer[] = []
  /** Of those, and of the one that the client has not taken yet. */
  #waitingBytes = 0
  #isWriting = false
  #isClosed = false

  /** `limit`: bytes that may wait. */
  constructor(call: GrpcCall, limit: number, events: TransportEvents) {
    this.#call = call
    this.#limit = limit
    this.#events = events
  }

  send(frame: Frame): void {
    if (this.#isClosed) return
    let message: Buffer
    try {
      message = encodeMessage(frame)
    } catch {
      // Others' frames are sent in the same turn: it may not come to them. Nor may there be a hole here.
      this.end(internalError, 'a frame could not be written')
      return
    }
    if (this.#waitingBytes + message.length > this.#limit) {
      this.#events.dropped()
      this.end(CloseCode.tooSlow, 'too slow')
      return
    }
    this.#waitingBytes += message.length
    this.#waiting.push(message)
    this.#writeNext()
  }

  cork(send: () => void): void {
    send()
  }

  getBufferedAmount(): number {
    return this.#waitingBytes
  }

  /** Topics are for sockets; a topic sends to streams one by one. */
  subscribe(): void {}
  unsubscribe(): void {}

  end(code: number, reason: string): void {
    if (this.#isClosed) return
    this.#writeLast()
    endCall(this.#call, code, reason)
    this.#forget(code)
  }

  /** The client has said all that it wants to: a good end. */
  finish(): void {
    if (this.#isClosed) return
    this.#writeLast()
    this.#call.end()
    this.#forget(1000)
  }

  /** The client has gone. */
  cancelled(): void {
    if (!this.#isClosed) this.#forget(1006)
  }

  #writeNext(): void {
    if (this.#isWriting || this.#isClosed) return
    const message = this.#waiting.shift()
    if (message === undefined) return
    this.#isWriting = true
    this.#call.write(message, () => {
      this.#isWriting = false
      if (this.#isClosed) return
      this.#waitingBytes -= message.length
      this.#writeNext()
      this.#events.moved()
    })
  }

  /** What waits when a call ends goes out before its status, unless it is much: who does not read is not to keep it here, and what was stored comes by resume. */
  #writeLast(): void {
    if (this.#waitingBytes > lastBytes) return
    for (const message of this.#waiting) this.#call.write(message)
  }

  #forget(code: number): void {
    this.#isClosed = true
    this.#waiting.length = 0
    this.#waitingBytes = 0
    this.#events.closed(code)
  }
}
