import type { Origin } from '../limits/connection-limits.ts'
import type { Meter } from '../limits/rate-limits.ts'
import type { Encoding, Frame } from './frames.ts'

/** What uWebSockets.js keeps with a socket. */
export interface SocketData {
  session: Session
}

/** A frame that came while `hello` was being answered. */
export interface WaitingRequest {
  readonly id: string
  readonly value: Record<string, unknown>
  /** Of the frame. */
  readonly bytes: number
}

/** The local sockets of one conversation. The fan-out keeps them; a session only refers to its own. */
export interface SessionAudience {
  readonly c: string
}

const noAudiences: readonly SessionAudience[] = Object.freeze([])

/**
 * One socket. There may be very many, most of them idle: it holds no queue, no closure and no collection that it does not need at the moment.
 */
export class Session {
  readonly encoding: Encoding
  /** Set when the socket opens; not to be used once `closed`. */
  ws!: Transport
  /** `new` until `hello` is answered well; `waiting` when it came too early, and is to come again. */
  phase: 'new' | 'greeting' | 'waiting' | 'open' | 'closed' = 'new'
  user = ''
  id = ''
  device: string | undefined
  /** From the `Authorization` header, until `hello` has used it. */
  token: string | undefined
  /** Seconds since 1970: of the token, or before `hello` the last moment for it; 0 for never. */
  deadline = 0
  inFlight = 0
  badFrames = 0
  /** Of the conversations whose live events it gets. */
  audiences: readonly SessionAudience[] = noAudiences
  /** Hears that the transport did not take at once all that it was given; one function for all sessions. None of an event stream. */
  onPressure: ((session: Session) => void) | undefined
  /** Conversations whose missed events come first: no live ones until then. */
  catchingUp: Set<string> | undefined
  /** While it does not take what it is sent: conversation → seq of the last event that it got, of those that have gone on since. */
  behind: Map<string, number> | undefined
  /** Requests that came with `hello`, until it is answered. */
  waiting: WaitingRequest[] | undefined
  /** Frames for the end of this turn of the loop. */
  outbox: Frame[] | undefined
  /** When its user did something by it, as by `performance.now()`. */
  activeAt = 0
  /** Its client says that its user is away. */
  saysAway = false
  /** Its user counts as away. */
  isIdle = false
  /** Users whose presence it watches. */
  watching: readonly string[] | undefined
  /** `<c> <seq>` of the last mark that it moved itself. */
  ownMark: string | undefined
  /** What it has used of its rates; shared by the user's sockets, and its own. Made when they are first needed. */
  userMeter: Meter | undefined
  meter: Meter | undefined
  /** Where it comes from, where that is counted. */
  origin: Origin | undefined

  constructor(encoding: Encoding, token: string | undefined, deadline: number) {
    this.encoding = encoding
    this.token = token
    this.deadline = deadline
  }

  get closed(): boolean {
    return this.phase === 'closed'
  }

  /** Ends the socket with a code of the protocol. The close handler runs at once. */
  end(code: number, reason: string): void {
    if (this.phase !== 'closed') this.ws.end(code, reason)
  }
}

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
