import type { AddressCount } from '../limits/connection-limits.ts'
import type { Meter, UserMeter } from '../limits/rates.ts'
import type { Identity } from '../ports/token-verifier.ts'
import type { Encoding, Frame } from './frames.ts'

/** The user data of a uWebSockets.js WebSocket. */
export interface SocketData {
  session: Session
}

/** A request that arrived while `hello` was being answered. */
export interface QueuedRequest {
  readonly id: string
  readonly value: Record<string, unknown>
  /** Size of its frame, bytes. */
  readonly bytes: number
}

/** The local sessions of one conversation. FanOut owns these objects; a session only refers to its own. */
export interface SessionAudience {
  readonly c: string
}

const noAudiences: readonly SessionAudience[] = Object.freeze([])

/**
 * One connection of a client, and after `hello` the authenticated state of its user. A node has very many sessions,
 * most of them idle: a session holds no queue, closure or collection that it does not need at the moment.
 */
export class Session {
  readonly encoding: Encoding
  /** Set when the transport opens. Must not be used once `closed` is true. */
  ws!: Transport
  /** `new` until `hello` succeeds; `authenticating` while it runs; `retrying` after `hello` was OVERLOADED. */
  phase: 'new' | 'authenticating' | 'retrying' | 'open' | 'closed' = 'new'
  user = ''
  id = ''
  device: string | undefined
  /** The identity in the token of an open session. Sessions of one token share the object. */
  identity: Identity | undefined
  /** The token of the `Authorization` header, until `hello` has used it. */
  token: string | undefined
  /** Expiry of the token, or the time limit of `hello`, as of `deadlineIn`; 0: none. */
  deadline = 0
  /** When a session with a device opened, by `performance.now()`. */
  openedAt = 0
  /** Unanswered requests. */
  inFlight = 0
  badFrames = 0
  /** The audiences of the conversations whose live events this session receives. */
  audiences: readonly SessionAudience[] = noAudiences
  /** Called when the transport had to buffer something. One function for all sessions; undefined for event streams. */
  onPressure: ((session: Session) => void) | undefined
  /** Conversations in catch-up: their live events wait until the missed events are sent. */
  catchingUp: Set<string> | undefined
  /** Set for a slow consumer: conversation → seq of the last event sent, for conversations that have newer events. */
  behind: Map<string, number> | undefined
  /** Requests that arrived while `hello` runs. They are handled after it. */
  queued: QueuedRequest[] | undefined
  /** Set while requests wait before the command bus: conversation → end of the last turn. See request-order.ts. */
  turns: Map<string, Promise<void>> | undefined
  /** Frames that are sent at the end of this turn of the event loop. */
  outbox: Frame[] | undefined
  /** Time of the user's last activity in this session, by `performance.now()`. */
  activeAt = 0
  /** The client reported that its user is away. */
  saysAway = false
  /** The user counts as away in this session. */
  isIdle = false
  /** Users whose presence this session watches. */
  watching: readonly string[] | undefined
  /** `<c> <seq>` of the last read marker that this session moved. */
  ownMark: string | undefined
  /** Rate limits: shared by the user's sessions on this node, and of this session. Created on first use. */
  userMeter: UserMeter | undefined
  meter: Meter | undefined
  /** The connection count of the client's address. Without one, the transport counts the connection elsewhere. */
  address: AddressCount | undefined

  constructor(encoding: Encoding, token: string | undefined, deadline: number) {
    this.encoding = encoding
    this.token = token
    this.deadline = deadline
  }

  /** Whether a token has given the session its user. Stays true when the session has closed. */
  get isIdentified(): boolean {
    return this.id !== ''
  }

  get closed(): boolean {
    return this.phase === 'closed'
  }

  /** Closes the transport with a close code of the protocol. The close handler runs before this returns. */
  end(code: number, reason: string): void {
    if (this.phase !== 'closed') this.ws.end(code, reason)
  }
}

/** The result of `Transport.send` when nothing had to be buffered. uWebSockets.js returns the same number. */
export const allSent = 1

/** The connection of a session: a WebSocket of uWebSockets.js itself, an event stream, or a gRPC call. */
export interface Transport {
  /**
   * Sends a frame, or buffers it for a slow consumer. Closes the session when too many bytes are buffered. Returns
   * `allSent` when, as far as the transport knows, nothing of the frame is buffered.
   */
  send(frame: Frame, isBinary: boolean): unknown
  /** Sends the frames of all `send` calls in the callback together. */
  cork(send: () => void): unknown
  /** Returns the buffered bytes. */
  getBufferedAmount(): number
  /** WebSockets only: receives what is published to a topic. */
  subscribe(topic: string): unknown
  unsubscribe(topic: string): unknown
  /** Closes the connection with a close code of the protocol. The close handler runs before this returns. */
  end(code: number, reason: string): void
}

/** Callbacks of a transport that is not a WebSocket. */
export interface TransportEvents {
  /** The transport has closed, from either side. Called once. */
  readonly closed: (code: number) => void
  /** The client has received some of the buffered bytes. */
  readonly moved: () => void
  /** A frame exceeded the buffer, and the transport closes. */
  readonly dropped: () => void
}
