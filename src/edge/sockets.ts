import type { WebSocket, WebSocketBehavior } from 'uWebSockets.js'
import { CloseCode, ConfabError, type ErrorBody, Limits } from '../events/index.ts'
import type { Admission } from './admission.ts'
import type { Drains } from './drains.ts'
import type { EdgeLimits } from './edge-limits.ts'
import type { EdgeMetrics } from './edge-metrics.ts'
import type { Logger } from './edge-options.ts'
import type { FanOut } from './fan-out.ts'
import { decodeFrame, encodeAnswer, encodeError, leadingId } from './frames.ts'
import type { Greeter } from './hello.ts'
import { flush, push } from './outbox.ts'
import type { PresenceBoard } from './presence.ts'
import { checkHello, checkRequest, isRequestType, requestId } from './request-check.ts'
import type { Answerer } from './requests/index.ts'
import type { Session, SocketData, WaitingRequest } from './session.ts'
import type { SessionRegistry } from './session-registry.ts'
import { Upgrades } from './upgrades.ts'

type Fields = Record<string, unknown>

/** A frame that is being answered. */
interface Asked {
  /** Null where no id could be read. */
  readonly id: string | null
  /** `unread` where it could not be read, `unknown` where there is no such type. */
  readonly type: string
  /** The conversation that it names. */
  readonly c: unknown
  /** `performance.now()` when it came. */
  readonly started: number
}

type Socket = WebSocket<SocketData>

/** What a client may see of an error. The rest goes to the log, and says nothing of what was sent. */
export const visibleError = (error: unknown, logger: Logger, where: object): ErrorBody => {
  if (ConfabError.is(error)) return error.toBody()
  logger.error({ ...where, err: error }, 'a request failed')
  return new ConfabError('INTERNAL').toBody()
}

/** The frames of all sockets: what comes in, and what it is answered with. */
export class Sockets {
  readonly #answer: Answerer
  readonly #admission: Admission
  readonly #upgrades: Upgrades
  readonly #greeter: Greeter
  readonly #sessions: SessionRegistry
  readonly #fanOut: FanOut
  readonly #presence: PresenceBoard
  readonly #drains: Drains
  readonly #metrics: EdgeMetrics
  readonly #logger: Logger
  readonly #limits: EdgeLimits

  constructor(
    parts: {
      answer: Answerer
      admission: Admission
      greeter: Greeter
      sessions: SessionRegistry
      fanOut: FanOut
      presence: PresenceBoard
      drains: Drains
      metrics: EdgeMetrics
      logger: Logger
    },
    limits: EdgeLimits,
  ) {
    this.#answer = parts.answer
    this.#admission = parts.admission
    this.#upgrades = new Upgrades(parts.metrics, limits)
    this.#greeter = parts.greeter
    this.#sessions = parts.sessions
    this.#fanOut = parts.fanOut
    this.#presence = parts.presence
    this.#drains = parts.drains
    this.#metrics = parts.metrics
    this.#logger = parts.logger
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
      drain: ws => this.#drains.moved(ws.getUserData().session),
      dropped: () => this.#metrics.dropped(),
      close: (ws, code) => this.#closed(ws.getUserData().session, code),
    }
  }

  #opened(ws: Socket): void {
    const { session } = ws.getUserData()
    session.ws = ws
    this.#sessions.connected(session)
    this.#metrics.connected()
  }

  #closed(session: Session, code: number): void {
    const wasOpen = session.phase === 'open'
    session.phase = 'closed'
    session.outbox = undefined
    session.waiting = undefined
    this.#upgrades.closed(session)
    this.#fanOut.forget(session)
    this.#presence.unwatch(session)
    const last = this.#sessions.closed(session)
    if (wasOpen && last) this.#presence.wentOffline(session.user)
    this.#drains.moved(session)
    this.#metrics.disconnected(code)
  }

  #received(session: Session, message: ArrayBuffer, isBinary: boolean): void {
    const started = performance.now()
    if (message.byteLength > Limits.frameBytes) {
      if (message.byteLength > this.#limits.closingBytes) {
        this.#metrics.limited('frame_size')
        session.end(CloseCode.tooBig, 'too big a frame')
        return
      }
      this.#refuse(
        session,
        unread(started, leadingId(message, session.encoding)),
        this.#tooLarge(session, message.byteLength, started),
      )
      return
    }
    let value: Fields
    try {
      value = decodeFrame(message, isBinary, session.encoding)
    } catch (error) {
      this.#refuse(session, unread(started), error)
      this.#countBad(session)
      return
    }
    const id = requestId(value)
    if (id === null) {
      const error = new ConfabError(
        'BAD_REQUEST',
        `id: expected a string of 1 to ${Limits.idChars} characters.`,
        {
          field: '/id',
        },
      )
      this.#refuse(session, unread(started), error)
      if (session.phase !== 'open') this.#countBad(session)
      return
    }
    const bytes = message.byteLength
    if (session.phase === 'open') this.#request(session, { id, value, bytes }, started)
    else this.#beforeHello(session, { id, value, bytes }, started)
  }

  /** What is wrong with a frame that is not even read; its bytes count all the same. */
  #tooLarge(session: Session, bytes: number, now: number): unknown {
    this.#metrics.limited('frame_size')
    try {
      this.#admission.frame(session, bytes, now)
      return new ConfabError('TOO_LARGE', `A frame may have ${Limits.frameBytes} bytes at most.`)
    } catch (error) {
      return error
    }
  }

  #request(session: Session, { id, value, bytes }: WaitingRequest, started: number): void {
    const asked: Asked = { id, type: isRequestType(value.t) ? value.t : 'unknown', c: value.c, started }
    try {
      this.#admission.frame(session, bytes, started)
      const request = checkRequest(value)
      if (session.inFlight >= this.#limits.inFlight) {
        this.#metrics.limited('in_flight')
        throw new ConfabError(
          'OVERLOADED',
          'Too many requests of this socket are unanswered; wait for some answers.',
        )
      }
      this.#admission.request(request, bytes, started)
      const fields = this.#answer(request, { user: session.user, session })
      if (!(fields instanceof Promise)) {
        this.#answered(session, asked, fields)
        return
      }
      session.inFlight++
      fields.then(
        answer => {
          session.inFlight--
          this.#answered(session, asked, answer)
        },
        error => {
          session.inFlight--
          this.#admission.failed(request, bytes, error)
          this.#refuse(session, asked, error)
        },
      )
    } catch (error) {
      this.#refuse(session, asked, error)
    }
  }

  #beforeHello(session: Session, request: WaitingRequest, started: number): void {
    const { id, value } = request
    if (session.phase === 'greeting' && value.t !== 'hello') {
      // Sent together with hello, without waiting for its answer: as good as after it.
      session.waiting ??= []
      if (session.waiting.length < this.#limits.inFlight) session.waiting.push(request)
      else this.#refuse(session, unread(started, id), new ConfabError('OVERLOADED'))
      return
    }
    if (session.phase === 'greeting' || value.t !== 'hello') {
      const error =
        session.phase === 'greeting'
          ? new ConfabError('BAD_REQUEST', 't: hello is being answered.', { field: '/t' })
          : new ConfabError('UNAUTHENTICATED', 'The first frame has to be hello.')
      this.#refuse(session, unread(started, id), error)
      this.#countBad(session)
      return
    }
    session.phase = 'greeting'
    void this.#greet(session, id, value, started)
  }

  async #greet(session: Session, id: string, value: Fields, started: number): Promise<void> {
    try {
      await this.#greeter.greet(session, checkHello(value))
      this.#metrics.answered('hello', 'ok', (performance.now() - started) / 1000)
    } catch (error) {
      if (session.closed) return
      session.phase = 'new'
      this.#refuse(session, { id, type: 'hello', c: undefined, started }, error)
      const code = ConfabError.is(error) ? error.code : undefined
      if (code === 'UNAUTHENTICATED') {
        flush(session)
        session.end(CloseCode.unauthenticated, 'the token is not good')
      }
      if (code === 'RATE_LIMITED') {
        this.#metrics.limited('user_sockets')
        flush(session)
        session.end(CloseCode.tooManySockets, 'too many sockets')
      }
    }
    const waiting = session.waiting ?? []
    session.waiting = undefined
    for (const request of waiting) {
      if (session.closed) return
      // hello has changed the phase, one way or the other
      if (session.phase === 'open') this.#request(session, request, started)
      else this.#beforeHello(session, request, started)
    }
  }

  #answered(session: Session, asked: Asked, fields: object): void {
    push(session, encodeAnswer(session.encoding, asked.id ?? '', fields))
    this.#tell(session, asked, 'ok', 'seq' in fields ? fields.seq : undefined)
  }

  #refuse(session: Session, asked: Asked, error: unknown): void {
    const { id, type } = asked
    const body = visibleError(error, this.#logger, { session: session.id, re: id, request: type })
    push(session, encodeError(session.encoding, id, body))
    this.#tell(session, asked, body.code, undefined)
  }

  /** The request's id, and the place of what came of it, are what an operator looks for. */
  #tell(session: Session, { id, type, c, started }: Asked, outcome: string, seq: unknown): void {
    const ms = performance.now() - started
    this.#metrics.answered(type, outcome, ms / 1000)
    this.#logger.debug({ session: session.id, re: id, request: type, c, seq, outcome, ms }, 'answered')
  }

  #countBad(session: Session): void {
    if (++session.badFrames < Limits.badFrames) return
    flush(session)
    session.end(CloseCode.policy, 'too many frames that make no sense')
  }
}

const unread = (started: number, id: string | null = null): Asked => ({
  id,
  type: 'unread',
  c: undefined,
  started,
})
