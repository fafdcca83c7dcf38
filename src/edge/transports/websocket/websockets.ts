import type {
  HttpRequest,
  HttpResponse,
  us_socket_context_t,
  WebSocket,
  WebSocketBehavior,
} from 'uWebSockets.js'
import { ConfabError, Limits } from '../../../events/index.ts'
import { addressKey, clientAddress, type Origin, Origins } from '../../limits/connection-limits.ts'
import type { EdgeLimits } from '../../ports/edge-limits.ts'
import type { EdgeMetrics } from '../../ports/edge-metrics.ts'
import type { SessionRequests } from '../../requests/session-requests.ts'
import { bearerToken } from '../../sessions/caller.ts'
import { decodeFrame, leadingId, negotiate } from '../../sessions/frames.ts'
import { Session, type SocketData } from '../../sessions/session.ts'
import type { WriteRoom } from '../../sessions/slow-consumers.ts'

type Socket = WebSocket<SocketData>

/** WebSockets, each with a session. */
export class Sockets {
  readonly #frames: SessionRequests
  readonly #upgrades: Upgrades
  readonly #writeRoom: WriteRoom
  readonly #metrics: EdgeMetrics
  readonly #limits: EdgeLimits

  constructor(
    parts: { frames: SessionRequests; writeRoom: WriteRoom; metrics: EdgeMetrics },
    limits: EdgeLimits,
  ) {
    this.#frames = parts.frames
    this.#upgrades = new Upgrades(parts.metrics, limits)
    this.#writeRoom = parts.writeRoom
    this.#metrics = parts.metrics
    this.#limits = limits
  }

  /** For `app.ws`. */
  behavior(): WebSocketBehavior<SocketData> {
    return {
      maxPayloadLength: this.#limits.transportBytes,
      maxBackpressure: this.#limits.backpressureBytes,
      closeOnBackpressureLimit: true,
      // The transport pings a while before this is over. A pong takes it as far again, silence closes the socket.
      idleTimeout: Math.max(8, Math.ceil(this.#limits.heartbeatMs / 1000) + 5),
      sendPingsAutomatically: true,
      upgrade: (res, req, context) => this.#upgrades.upgrade(res, req, context),
      open: ws => this.#opened(ws),
      message: (ws, message, isBinary) => this.#received(ws.getUserData().session, message, isBinary),
      drain: ws => this.#writeRoom.moved(ws.getUserData().session),
      dropped: () => this.#metrics.dropped(),
      close: (ws, code) => this.#closed(ws.getUserData().session, code),
    }
  }

  #opened(ws: Socket): void {
    const { session } = ws.getUserData()
    session.ws = ws
    this.#frames.opened(session)
  }

  #closed(session: Session, code: number): void {
    this.#upgrades.closed(session)
    this.#frames.closed(session, code)
  }

  #received(session: Session, message: ArrayBuffer, isBinary: boolean): void {
    const started = performance.now()
    const bytes = message.byteLength
    if (bytes > Limits.frameBytes) {
      this.#frames.tooLarge(session, bytes, leadingId(message, session.encoding), started)
      return
    }
    let value: Record<string, unknown>
    try {
      value = decodeFrame(message, isBinary, session.encoding)
    } catch (error) {
      this.#frames.unreadable(session, error, started)
      return
    }
    this.#frames.take(session, value, bytes, started)
  }
}

/** Makes sockets of requests for one, as many an address as there may be. */
export class Upgrades {
  readonly #origins: Origins
  readonly #metrics: EdgeMetrics
  readonly #helloMs: number
  readonly #trustProxy: number

  constructor(metrics: EdgeMetrics, limits: { addressSockets: number; helloMs: number; trustProxy: number }) {
    this.#metrics = metrics
    this.#origins = new Origins(limits.addressSockets)
    this.#helloMs = limits.helloMs
    this.#trustProxy = limits.trustProxy
  }

  upgrade(res: HttpResponse, req: HttpRequest, context: us_socket_context_t): void {
    const agreed = negotiate(req.getHeader('sec-websocket-protocol'))
    if (agreed === undefined) {
      res.writeStatus('400 Bad Request').end('none of these subprotocols is spoken here')
      return
    }
    let origin: Origin | undefined
    try {
      origin = this.#originOf(res, req)
    } catch (error) {
      if (!ConfabError.is(error)) throw error
      this.#metrics.limited('address_sockets')
      const seconds = Math.ceil((error.retryAfterMs ?? 0) / 1000)
      res.writeStatus('429 Too Many Requests').writeHeader('retry-after', String(seconds)).end(error.message)
      return
    }
    const deadline = Math.ceil((Date.now() + this.#helloMs) / 1000)
    const session = new Session(agreed.encoding, bearerToken(req.getHeader('authorization')), deadline)
    session.origin = origin
    res.upgrade<SocketData>(
      { session },
      req.getHeader('sec-websocket-key'),
      agreed.subprotocol,
      req.getHeader('sec-websocket-extensions'),
      context,
    )
  }

  /** Its address may have another. */
  closed({ origin }: Session): void {
    if (origin !== undefined) this.#origins.release(origin)
  }

  #originOf(res: HttpResponse, req: HttpRequest): Origin | undefined {
    if (!this.#origins.isCounting) return undefined
    const peer = Buffer.from(res.getRemoteAddressAsText()).toString('latin1')
    const forwarded = req.getHeader('x-forwarded-for')
    return this.#origins.take(addressKey(clientAddress(peer, forwarded, this.#trustProxy)))
  }
}
