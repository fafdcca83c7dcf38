import type { WebSocket, WebSocketBehavior } from 'uWebSockets.js'
import { Limits } from '../../../events/index.ts'
import type { EdgeLimits } from '../../ports/edge-limits.ts'
import type { EdgeMetrics } from '../../ports/edge-metrics.ts'
import type { SessionRequests } from '../../requests/session-requests.ts'
import { decodeFrame, leadingId } from '../../sessions/frames.ts'
import type { Session, SocketData } from '../../sessions/session.ts'
import type { WriteRoom } from '../../sessions/write-room.ts'
import { Upgrades } from './upgrades.ts'

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
