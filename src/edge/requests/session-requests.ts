import type { Logger } from '../../base/logger.ts'
import { CloseCode, ConfabError, Limits, type Request } from '../../events/index.ts'
import type { SlowConsumerCatchUp } from '../catch-up/slow-consumer-catch-up.ts'
import type { FanOut } from '../delivery/fan-out.ts'
import type { Admission } from '../limits/admission.ts'
import type { EdgeLimits } from '../ports/edge-limits.ts'
import type { EdgeMetrics } from '../ports/edge-metrics.ts'
import type { PresenceBoard } from '../presence/index.ts'
import { encodeAnswer, encodeError } from '../sessions/frames.ts'
import { flush, push } from '../sessions/outbox.ts'
import type { Session, WaitingRequest } from '../sessions/session.ts'
import type { SessionRegistry } from '../sessions/session-registry.ts'
import type { WriteRoom } from '../sessions/slow-consumers.ts'
import { isLarge, LargeAnswers, visibleError } from './answers.ts'
import type { HelloHandler } from './hello.ts'
import type { Answerer } from './index.ts'
import { checkHello, checkRequest, isRequestType, requestId } from './request-check.ts'

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

/** The frames of all sessions that send some, over whatever transport: what comes in, and what it is answered with. */
export class SessionRequests {
  readonly #answer: Answerer
  readonly #admission: Admission
  readonly #helloHandler: HelloHandler
  readonly #sessions: SessionRegistry
  readonly #fanOut: FanOut
  readonly #presence: PresenceBoard
  readonly #writeRoom: WriteRoom
  readonly #slowConsumers: SlowConsumerCatchUp
  readonly #largeAnswers: LargeAnswers
  readonly #metrics: EdgeMetrics
  readonly #logger: Logger
  readonly #limits: EdgeLimits

  constructor(
    parts: {
      answer: Answerer
      admission: Admission
      helloHandler: HelloHandler
      sessions: SessionRegistry
      fanOut: FanOut
      presence: PresenceBoard
      writeRoom: WriteRoom
      slowConsumers: SlowConsumerCatchUp
      metrics: EdgeMetrics
      logger: Logger
    },
    limits: EdgeLimits,
  ) {
    this.#answer = parts.answer
    this.#admission = parts.admission
    this.#helloHandler = parts.helloHandler
    this.#sessions = parts.sessions
    this.#fanOut = parts.fanOut
    this.#presence = parts.presence
    this.#writeRoom = parts.writeRoom
    this.#slowConsumers = parts.slowConsumers
    this.#largeAnswers = new LargeAnswers(parts.writeRoom)
    this.#metrics = parts.metrics
    this.#logger = parts.logger
    this.#limits = limits
  }

  /** It has its transport. */
  opened(session: Session): void {
    session.onPressure = this.#slowConsumers.pressed
    this.#sessions.connected(session)
    this.#metrics.connected()
  }

  /** Its transport has ended, with a close code. */
  closed(session: Session, code: number): void {
    const wasOpen = session.phase === 'open'
    session.phase = 'closed'
    session.outbox = undefined
    session.waiting = undefined
    this.#fanOut.forget(session)
    const last = this.#sessions.closed(session)
    if (wasOpen) this.#presence.closed(session, last)
    this.#writeRoom.moved(session)
    this.#metrics.disconnected(code)
  }

  /** A frame's object, of so many bytes, which came at `started` by `performance.now()`. */
  take(session: Session, value: Fields, bytes: number, started: number): void {
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
    if (session.phase === 'open') this.#request(session, { id, value, bytes }, started)
    else this.#beforeHello(session, { id, value, bytes }, started)
  }

  /** A frame that could not be read. */
  unreadable(session: Session, error: unknown, started: number): void {
    this.#refuse(session, unread(started), error)
    this.#countBad(session)
  }

  /** A frame of more than `Limits.frameBytes`, which is not even read; its bytes count all the same. `id` of the request, where it can be told. */
  tooLarge(session: Session, bytes: number, id: string | null, started: number): void {
    this.#metrics.limited('frame_size')
    if (bytes > this.#limits.closingBytes) {
      session.end(CloseCode.tooBig, 'too big a frame')
      return
    }
    let error: unknown = new ConfabError('TOO_LARGE', `A frame may have ${Limits.frameBytes} bytes at most.`)
    try {
      this.#admission.frame(session, bytes, started)
    } catch (refusal) {
      error = refusal
    }
    this.#refuse(session, unread(started, id), error)
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
      this.#presence.acted(session, request.t, started)
      const fields = isLarge(request.t)
        ? this.#answerLarge(session, asked, request)
        : this.#answer(request, { user: session.user, session })
      if (!(fields instanceof Promise)) {
        this.#answered(session, asked, fields)
        return
      }
      session.inFlight++
      fields.then(
        answer => {
          session.inFlight--
          if (answer !== undefined) this.#answered(session, asked, answer)
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

  /** Resolves when the answer has gone to the transport: until then the request is in flight. */
  #answerLarge(session: Session, asked: Asked, request: Request): Promise<void> {
    const read = async (): Promise<object> => {
      // How long it waited for a client that does not read is not what is measured.
      const started = performance.now()
      const fields = await this.#answer(request, { user: session.user, session })
      this.#tell(session, { ...asked, started }, 'ok', undefined)
      return fields
    }
    const send = (fields: object): void =>
      push(session, encodeAnswer(session.encoding, asked.id ?? '', fields))
    // What presence says may not wait: what is told of it after that would come before.
    return request.t === 'presence'
      ? this.#largeAnswers.take(session, noop, async () => send(await read()))
      : this.#largeAnswers.take(session, read, send)
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
    if (session.phase === 'waiting' && value.t !== 'hello') {
      // Sent before it heard that hello has to wait.
      this.#refuse(
        session,
        unread(started, id),
        new ConfabError('OVERLOADED', 'hello has to come first, again.'),
      )
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
      await this.#helloHandler.greet(session, checkHello(value))
      this.#metrics.answered('hello', 'ok', (performance.now() - started) / 1000)
    } catch (error) {
      if (session.closed) return
      session.phase = 'new'
      this.#refuse(session, { id, type: 'hello', c: undefined, started }, error)
      if (ConfabError.is(error) && error.code === 'OVERLOADED') this.#letWait(session, error)
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

  /** It may try again on the same socket, when it was told to. */
  #letWait(session: Session, { retryAfterMs = 0 }: ConfabError): void {
    session.phase = 'waiting'
    session.deadline = Math.ceil((Date.now() + retryAfterMs + this.#limits.helloMs) / 1000)
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

const noop = (): void => {}

const unread = (started: number, id: string | null = null): Asked => ({
  id,
  type: 'unread',
  c: undefined,
  started,
})
