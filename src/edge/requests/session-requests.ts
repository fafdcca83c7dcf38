import type { Logger } from '../../base/logger.ts'
import { CloseCode, ConfabError, Limits, type Request, type RequestType } from '../../events/index.ts'
import { isDamage, type RosterCheck } from '../access/access.ts'
import type { SlowConsumerCatchUp } from '../catch-up/slow-consumer-catch-up.ts'
import type { FanOut } from '../delivery/fan-out.ts'
import type { Admission } from '../limits/admission.ts'
import type { EdgeLimits } from '../ports/edge-limits.ts'
import type { EdgeMetrics } from '../ports/edge-metrics.ts'
import type { PresenceBoard } from '../presence/index.ts'
import { deadlineIn } from '../sessions/close-sessions.ts'
import { type Encoding, encodeAnswer, encodeError } from '../sessions/frames.ts'
import { flush, push } from '../sessions/outbox.ts'
import type { QueuedRequest, Session } from '../sessions/session.ts'
import type { SessionRegistry } from '../sessions/session-registry.ts'
import type { WriteRoom } from '../sessions/slow-consumers.ts'
import { damageSeenBy, LargeAnswers, visibleError } from './answers.ts'
import type { HelloHandler } from './hello.ts'
import type { Answerer } from './index.ts'
import { checkHello, checkRequest, isRequestType, requestId } from './request-check.ts'

type Fields = Record<string, unknown>

/** Requests whose answers may fill a whole frame. */
export const largeAnswers: ReadonlySet<RequestType> = new Set<RequestType>([
  'history',
  'inbox',
  'undelivered',
  'members',
  'invitations',
  'search',
  'profiles',
  'presence',
  'sessions',
])

/** A request until it is answered: what its answer, metrics and log entry need. */
interface PendingRequest {
  /** Null when the frame has no readable id. */
  readonly id: string | null
  /** `unread` when the frame was not decoded, `unknown` for an unknown request type. */
  readonly type: string
  /** The conversation in the request. */
  readonly c: unknown
  /** Arrival, by `performance.now()`. */
  readonly started: number
}

export interface SessionRequestParts {
  readonly answer: Answerer
  readonly admission: Admission
  readonly helloHandler: HelloHandler
  readonly sessions: SessionRegistry
  readonly fanOut: FanOut
  readonly presence: PresenceBoard
  readonly writeRoom: WriteRoom
  readonly isOnRoster: RosterCheck
  readonly slowConsumers: SlowConsumerCatchUp
  readonly metrics: EdgeMetrics
  readonly logger: Logger
}

/** Reads the frames of a transport. */
export interface FrameReader<T> {
  /** Decodes a frame. Throws ConfabError BAD_REQUEST. */
  decode(message: T, encoding: Encoding): Fields
  /** Returns the id of a frame that is not decoded, if the id is its first field, as in frames of client libraries. */
  leadingId(message: T, encoding: Encoding): string | null
}

/** Receives the frames of all sessions with two-way transports (WebSocket and gRPC), and answers each of them. */
export class SessionRequests {
  readonly #parts: SessionRequestParts
  readonly #limits: EdgeLimits
  readonly #largeAnswers: LargeAnswers

  constructor(parts: SessionRequestParts, limits: EdgeLimits) {
    this.#parts = parts
    this.#limits = limits
    this.#largeAnswers = new LargeAnswers(parts.writeRoom, limits)
  }

  /** The session's transport has opened. */
  opened(session: Session): void {
    const { sessions, slowConsumers, metrics } = this.#parts
    session.onPressure = slowConsumers.pressed
    sessions.connected(session)
    metrics.connected()
  }

  /** The session's transport has closed with this close code. */
  closed(session: Session, code: number): void {
    const { sessions, fanOut, presence, writeRoom, metrics } = this.#parts
    const wasOpen = session.phase === 'open'
    session.phase = 'closed'
    session.outbox = undefined
    session.queued = undefined
    fanOut.forget(session)
    const isLast = sessions.closed(session)
    if (wasOpen) presence.closed(session, isLast)
    writeRoom.moved(session)
    metrics.disconnected(code)
  }

  /** Handles a frame of this size. It counts before it is decoded. */
  frame<T>(session: Session, message: T, bytes: number, reader: FrameReader<T>): void {
    const started = performance.now()
    const { admission, metrics } = this.#parts
    if (bytes > Limits.frameBytes) metrics.limited('frame_size')
    if (bytes > this.#limits.closingBytes) {
      session.end(CloseCode.tooBig, 'frame too large')
      return
    }
    let refusal: unknown
    try {
      admission.frame(session, bytes, started)
      if (bytes > Limits.frameBytes) refusal = tooLarge()
    } catch (limited) {
      refusal = limited
    }
    if (refusal === undefined) this.#read(session, message, bytes, reader, started)
    else if (bytes > Limits.frameBytes || !admission.mayDecodeRefused(session, bytes, started))
      this.#fail(session, unread(started, reader.leadingId(message, session.encoding)), refusal)
    else this.#readRefused(session, message, reader, refusal, started)
  }

  /** Decodes a frame and handles its request. */
  #read<T>(session: Session, message: T, bytes: number, reader: FrameReader<T>, started: number): void {
    let value: Fields
    try {
      value = reader.decode(message, session.encoding)
    } catch (error) {
      this.#fail(session, unread(started), error)
      this.#countBad(session)
      return
    }
    const id = requestId(value)
    if (id === null) {
      this.#fail(session, unread(started), missingId())
      if (session.phase !== 'open') this.#countBad(session)
    } else if (session.phase === 'open') this.#request(session, { id, value, bytes }, started)
    else this.#beforeHello(session, { id, value, bytes }, started)
  }

  /** Decodes a frame that is refused, and answers with its id. */
  #readRefused<T>(
    session: Session,
    message: T,
    reader: FrameReader<T>,
    refusal: unknown,
    started: number,
  ): void {
    let id: string | null = null
    let isReadable = true
    try {
      id = requestId(reader.decode(message, session.encoding))
    } catch {
      isReadable = false
    }
    this.#fail(session, unread(started, id), refusal)
    if (!isReadable) this.#countBad(session)
  }

  /** `isCounted`: whether the frame counts for the user of the session already. */
  #request(session: Session, { id, value, bytes }: QueuedRequest, started: number, isCounted = true): void {
    const { admission, presence, answer } = this.#parts
    const pending: PendingRequest = {
      id,
      type: isRequestType(value.t) ? value.t : 'unknown',
      c: value.c,
      started,
    }
    let counted: Request | undefined
    try {
      if (!isCounted) admission.frameOfUser(session, bytes, started)
      const request = checkRequest(value)
      admission.requireInFlight(session)
      admission.request(request, session.user, bytes, started)
      counted = request
      presence.acted(session, request.t, started)
      const fields = largeAnswers.has(request.t)
        ? this.#answerLarge(session, pending, request)
        : answer(request, { user: session.user, session })
      if (!(fields instanceof Promise)) {
        this.#succeed(session, pending, fields)
        return
      }
      admission.begin(session)
      fields.then(
        fields => {
          admission.end(session)
          if (fields !== undefined) this.#succeed(session, pending, fields)
        },
        error => {
          admission.end(session)
          const fail = (seen: unknown): void => {
            admission.refused(request, session.user, bytes, seen)
            this.#fail(session, pending, seen)
          }
          const { isOnRoster } = this.#parts
          if (isDamage(error)) void damageSeenBy(error, request, session.user, isOnRoster).then(fail)
          else fail(error)
        },
      )
    } catch (error) {
      if (counted !== undefined) admission.refused(counted, session.user, bytes, error)
      this.#fail(session, pending, error)
    }
  }

  /** Resolves when the transport has the answer. Until then the request counts as unanswered. */
  #answerLarge(session: Session, pending: PendingRequest, request: Request): Promise<void> {
    const read = async (): Promise<object> => {
      // The metric must not include the time that the request waited for a slow consumer.
      const started = performance.now()
      const fields = await this.#parts.answer(request, { user: session.user, session })
      this.#record(session, { ...pending, started }, 'ok', undefined)
      return fields
    }
    const send = (fields: object): void =>
      push(session, encodeAnswer(session.encoding, pending.id ?? '', fields))
    // The states in a presence answer are read right before it is sent: a later push must not overtake the answer.
    return request.t === 'presence'
      ? this.#largeAnswers.answer(
          session,
          () => {},
          async () => send(await read()),
        )
      : this.#largeAnswers.answer(session, read, send)
  }

  #beforeHello(session: Session, request: QueuedRequest, started: number): void {
    const { id, value } = request
    const isHello = value.t === 'hello'
    if (session.phase === 'new' || session.phase === 'retrying') {
      if (isHello) {
        session.phase = 'authenticating'
        void this.#hello(session, id, value, started)
      } else if (session.phase === 'retrying')
        // The client sent it before it received the OVERLOADED of its hello.
        this.#fail(session, unread(started, id), new ConfabError('OVERLOADED', 'Send hello again first.'))
      else {
        const error = new ConfabError('UNAUTHENTICATED', 'The first frame must be hello.')
        this.#fail(session, unread(started, id), error)
        this.#countBad(session)
      }
    } else if (isHello) {
      const error = new ConfabError('BAD_REQUEST', 't: hello is already being answered.', { field: '/t' })
      this.#fail(session, unread(started, id), error)
      this.#countBad(session)
    } else this.#queue(session, request, started)
  }

  /** Clients may send requests without waiting for the answer to `hello`. They run after it. */
  #queue(session: Session, request: QueuedRequest, started: number): void {
    session.queued ??= []
    const bytes = session.queued.reduce((sum, queued) => sum + queued.bytes, request.bytes)
    if (session.queued.length < this.#limits.inFlight && bytes <= this.#limits.queuedBytes)
      session.queued.push(request)
    else {
      this.#parts.metrics.limited('in_flight')
      this.#fail(session, unread(started, request.id), new ConfabError('OVERLOADED'))
    }
  }

  async #hello(session: Session, id: string, value: Fields, started: number): Promise<void> {
    const { helloHandler, metrics } = this.#parts
    try {
      await helloHandler.open(session, checkHello(value))
      metrics.answered('hello', 'ok', (performance.now() - started) / 1000)
    } catch (error) {
      if (session.closed) return
      session.phase = 'new'
      this.#fail(session, { id, type: 'hello', c: undefined, started }, error)
      if (ConfabError.is(error)) this.#afterFailedHello(session, error)
    }
    const queued = session.queued ?? []
    session.queued = undefined
    for (const request of queued) {
      if (session.closed) return
      // `hello` has changed the phase.
      if (session.phase === 'open') this.#request(session, request, started, false)
      else this.#beforeHello(session, request, started)
    }
  }

  #afterFailedHello(session: Session, { code, retryAfterMs = 0 }: ConfabError): void {
    if (code === 'OVERLOADED') {
      // The client may retry on the same connection, after the time in the answer.
      session.phase = 'retrying'
      session.deadline = deadlineIn(retryAfterMs + this.#limits.helloMs)
    } else if (code === 'UNAUTHENTICATED') {
      flush(session)
      session.end(CloseCode.unauthenticated, 'invalid token')
    } else if (code === 'RATE_LIMITED') {
      this.#parts.metrics.limited('user_sockets')
      flush(session)
      session.end(CloseCode.tooManySockets, 'too many connections')
    }
  }

  #succeed(session: Session, pending: PendingRequest, fields: object): void {
    push(session, encodeAnswer(session.encoding, pending.id ?? '', fields))
    this.#record(session, pending, 'ok', 'seq' in fields ? fields.seq : undefined)
  }

  #fail(session: Session, pending: PendingRequest, error: unknown): void {
    const { id, type } = pending
    const body = visibleError(error, this.#parts.logger, { session: session.id, re: id, request: type })
    push(session, encodeError(session.encoding, id, body))
    this.#record(session, pending, body.code, undefined)
  }

  /** Counts and logs an answer. The log entry links the request's id to the resulting event. */
  #record(session: Session, { id, type, c, started }: PendingRequest, outcome: string, seq: unknown): void {
    const { metrics, logger } = this.#parts
    const ms = performance.now() - started
    metrics.answered(type, outcome, ms / 1000)
    logger.debug({ session: session.id, re: id, request: type, c, seq, outcome, ms }, 'answered')
  }

  #countBad(session: Session): void {
    if (++session.badFrames < Limits.badFrames) return
    flush(session)
    session.end(CloseCode.policy, 'too many invalid frames')
  }
}

const tooLarge = (): ConfabError =>
  new ConfabError('TOO_LARGE', `A frame may have at most ${Limits.frameBytes} bytes.`)

const missingId = (): ConfabError =>
  new ConfabError('BAD_REQUEST', `id: expected a string of 1 to ${Limits.idChars} characters.`, {
    field: '/id',
  })

const unread = (started: number, id: string | null = null): PendingRequest => ({
  id,
  type: 'unread',
  c: undefined,
  started,
})
