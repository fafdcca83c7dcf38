import { Metadata, type ServerDuplexStream, status } from '@grpc/grpc-js'
import { CloseCode, Limits } from '../../../events/index.ts'
import type { Frame } from '../../sessions/frames.ts'
import type { Transport, TransportEvents } from '../../sessions/session.ts'
import { encodeMessage } from './grpc-messages.ts'

/** Receives, besides what all transports report, why a frame could not be encoded: the client sees INTERNAL. */
export interface GrpcEvents extends TransportEvents {
  failed(error: unknown): void
}

export type GrpcCall = ServerDuplexStream<Buffer, Buffer>

/** Buffered bytes that are still sent when a call ends. */
const lastBytes = 2 * Limits.frameBytes

/** Close code for an internal error (RFC 6455). */
const internalError = 1011

/** Close codes with the gRPC status of the same meaning. The trailing metadata contains the code itself. */
const statuses: Readonly<Record<number, status>> = {
  [CloseCode.goingAway]: status.UNAVAILABLE,
  [CloseCode.policy]: status.INVALID_ARGUMENT,
  [CloseCode.tooBig]: status.RESOURCE_EXHAUSTED,
  [CloseCode.unauthenticated]: status.UNAUTHENTICATED,
  [CloseCode.helloTimeout]: status.DEADLINE_EXCEEDED,
  [CloseCode.replaced]: status.ABORTED,
  [CloseCode.revoked]: status.UNAUTHENTICATED,
  [CloseCode.tooSlow]: status.RESOURCE_EXHAUSTED,
  [CloseCode.tooManySockets]: status.RESOURCE_EXHAUSTED,
  [internalError]: status.INTERNAL,
}

/** Ends a call with a close code of the protocol, after the messages written before. */
export const endCall = (call: GrpcCall, code: number, reason: string): void => {
  const metadata = new Metadata()
  metadata.set('confab-close-code', String(code))
  // In grpc-js, the error of a stream sets the status of its call.
  call.emit(
    'error',
    Object.assign(new Error(reason), { code: statuses[code] ?? status.UNKNOWN, details: reason, metadata }),
  )
}

/**
 * The transport of a gRPC call. It passes one message at a time to grpc-js and buffers the rest, so that it can drop
 * them.
 */
export class GrpcStream implements Transport {
  readonly #call: GrpcCall
  readonly #limit: number
  readonly #events: GrpcEvents
  readonly #waiting: Buffer[] = []
  /** Size of the buffered messages and of the message in grpc-js. */
  #waitingBytes = 0
  #isWriting = false
  #isClosed = false

  /** `limit`: bytes that may be buffered. */
  constructor(call: GrpcCall, limit: number, events: GrpcEvents) {
    this.#call = call
    this.#limit = limit
    this.#events = events
  }

  send(frame: Frame): void {
    if (this.#isClosed) return
    let message: Buffer
    try {
      message = encodeMessage(frame)
    } catch (error) {
      // An error must not affect other sessions of the same turn, and this session must not miss a frame.
      this.#events.failed(error)
      this.end(internalError, 'a frame could not be encoded')
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

  /** Only WebSockets have topics. The fan-out sends to calls one by one. */
  subscribe(): void {}
  unsubscribe(): void {}

  end(code: number, reason: string): void {
    if (this.#isClosed) return
    this.#writeLast()
    endCall(this.#call, code, reason)
    this.#forget(code)
  }

  /** The client has ended the call normally. */
  finish(): void {
    if (this.#isClosed) return
    this.#writeLast()
    this.#call.end()
    this.#forget(1000)
  }

  /** The client has cancelled the call or disconnected. */
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

  /** Sends buffered messages before the status. Drops them for a slow consumer, which resumes after it reconnects. */
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
