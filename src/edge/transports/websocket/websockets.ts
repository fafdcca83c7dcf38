import type {
  HttpRequest,
  HttpResponse,
  us_socket_context_t,
  WebSocket,
  WebSocketBehavior,
} from 'uWebSockets.js'
import { ConfabError } from '../../../events/index.ts'
import type { AddressCount, AddressLimit } from '../../limits/connection-limits.ts'
import type { EdgeLimits } from '../../ports/edge-limits.ts'
import type { EdgeMetrics } from '../../ports/edge-metrics.ts'
import type { FrameReader, SessionRequests } from '../../requests/session-requests.ts'
import { bearerToken } from '../../sessions/caller.ts'
import { deadlineIn } from '../../sessions/close-sessions.ts'
import { decodeFrame, leadingId, negotiate } from '../../sessions/frames.ts'
import { Session, type SocketData } from '../../sessions/session.ts'
import type { WriteRoom } from '../../sessions/slow-consumers.ts'
import { type AnswerHeaders, writeHead } from '../http/answer-headers.ts'
import type { HeaderList } from '../http/cors.ts'
import { peerOf } from '../listen.ts'

type Socket = WebSocket<SocketData>

export interface WebSocketParts {
  readonly requests: SessionRequests
  readonly addresses: AddressLimit
  readonly writeRoom: WriteRoom
  readonly metrics: EdgeMetrics
  readonly always: AnswerHeaders
  /** Whether a page of this origin may open WebSockets at this host. Empty: no browser. */
  readonly isOriginAllowed: (origin: string, host: string) => boolean
}

const textFrames: FrameReader<ArrayBuffer> = {
  decode: (message, encoding) => decodeFrame(message, false, encoding),
  leadingId,
}
const binaryFrames: FrameReader<ArrayBuffer> = {
  decode: (message, encoding) => decodeFrame(message, true, encoding),
  leadingId,
}

/** The route `/v1/ws`: accepts WebSockets, creates a session for each, and decodes their frames. */
export class WebSockets {
  readonly #parts: WebSocketParts
  readonly #limits: EdgeLimits

  constructor(parts: WebSocketParts, limits: EdgeLimits) {
    this.#parts = parts
    this.#limits = limits
  }

  /** Returns the handlers for `app.ws`. */
  behavior(): WebSocketBehavior<SocketData> {
    return {
      maxPayloadLength: this.#limits.transportBytes,
      maxBackpressure: this.#limits.backpressureBytes,
      closeOnBackpressureLimit: true,
      // The transport sends a ping shortly before this timeout. A pong restarts it; without a pong the socket closes.
      idleTimeout: Math.max(8, Math.ceil(this.#limits.heartbeatMs / 1000) + 5),
      sendPingsAutomatically: true,
      upgrade: (res, req, context) => this.#upgrade(res, req, context),
      open: ws => this.#opened(ws),
      message: (ws, message, isBinary) =>
        this.#parts.requests.frame(
          ws.getUserData().session,
          message,
          message.byteLength,
          isBinary ? binaryFrames : textFrames,
        ),
      drain: ws => this.#parts.writeRoom.moved(ws.getUserData().session),
      dropped: () => this.#parts.metrics.dropped(),
      close: (ws, code) => this.#closed(ws.getUserData().session, code),
    }
  }

  #upgrade(res: HttpResponse, req: HttpRequest, context: us_socket_context_t): void {
    if (!this.#parts.isOriginAllowed(req.getHeader('origin'), req.getHeader('host'))) {
      this.#refuse(res, req, '403 Forbidden', 'Pages of this origin may not open WebSockets here.')
      return
    }
    const agreed = negotiate(req.getHeader('sec-websocket-protocol'))
    if (agreed === undefined) {
      this.#refuse(res, req, '400 Bad Request', 'This server supports none of these subprotocols.')
      return
    }
    let address: AddressCount
    try {
      address = this.#parts.addresses.opened(peerOf(res), req.getHeader('x-forwarded-for'))
    } catch (error) {
      if (!ConfabError.is(error)) throw error
      const seconds = Math.ceil((error.retryAfterMs ?? 0) / 1000)
      this.#refuse(res, req, '429 Too Many Requests', error.message, [['retry-after', String(seconds)]])
      return
    }
    const deadline = deadlineIn(this.#limits.helloMs)
    const session = new Session(agreed.encoding, bearerToken(req.getHeader('authorization')), deadline)
    session.address = address
    res.upgrade<SocketData>(
      { session },
      req.getHeader('sec-websocket-key'),
      agreed.subprotocol,
      req.getHeader('sec-websocket-extensions'),
      context,
    )
  }

  #refuse(res: HttpResponse, req: HttpRequest, status: string, text: string, headers: HeaderList = []): void {
    writeHead(res, status, this.#parts.always(req), [['content-type', 'text/plain; charset=utf-8']], headers)
    res.end(text, true)
  }

  #opened(ws: Socket): void {
    const { session } = ws.getUserData()
    session.ws = ws
    this.#parts.requests.opened(session)
  }

  #closed(session: Session, code: number): void {
    this.#parts.addresses.closed(session.address, session.isIdentified)
    this.#parts.requests.closed(session, code)
  }
}
