import type { Frame } from './frames.ts'

/** As uWebSockets.js has it. */
export const allSent = 1

/** What a session sends over: a WebSocket of uWebSockets.js as it is, an event stream, or a call of gRPC. */
export interface Transport {
  /** Sends a frame, or keeps it for a client that is slow; ends the session when too much waits. `allSent` when nothing of it waits, as far as is known. */
  send(frame: Frame, isBinary: boolean): unknown
  /** Calls `send` within it go out together. */
  cork(send: () => void): unknown
  /** Bytes that wait for the client. */
  getBufferedAmount(): number
  /** Of a socket: gets what is published to a topic. */
  subscribe(topic: string): unknown
  unsubscribe(topic: string): unknown
  /** Ends the session with a code of the protocol; what follows from it is done when this returns. */
  end(code: number, reason: string): void
}

/** What a transport that is not a WebSocket tells of itself. */
export interface TransportEvents {
  /** Once, when it has ended, from whichever side. */
  readonly closed: (code: number) => void
  /** The client has taken something of what waited. */
  readonly moved: () => void
  /** A frame could not wait any more; the transport ends for it. */
  readonly dropped: () => void
}
