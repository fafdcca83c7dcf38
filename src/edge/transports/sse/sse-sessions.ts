import type { HttpRequest, HttpResponse, TemplatedApp } from 'uWebSockets.js'
import { v7 as uuidv7 } from 'uuid'
import type { Logger } from '../../../base/logger.ts'
import type { Epochs, LiveFeed } from '../../../commands/index.ts'
import { CloseCode } from '../../../events/index.ts'
import type { Access } from '../../access/access.ts'
import type { Memberships } from '../../access/memberships.ts'
import type { CatchUp } from '../../catch-up/catch-up.ts'
import { decodeCursor, epochOfCursor } from '../../catch-up/stream-cursor.ts'
import type { FanOut } from '../../delivery/fan-out.ts'
import type { HelloRate } from '../../limits/connection-limits.ts'
import { type AddressCount, type AddressLimit, tooManyConnections } from '../../limits/connection-limits.ts'
import type { EdgeLimits } from '../../ports/edge-limits.ts'
import type { EdgeMetrics } from '../../ports/edge-metrics.ts'
import type { PresenceBoard } from '../../presence/index.ts'
import { visibleError } from '../../requests/answers.ts'
import { helloFields } from '../../requests/hello.ts'
import { deadlineOfToken } from '../../sessions/close-sessions.ts'
import { eventOf } from '../../sessions/frames.ts'
import { flush, push } from '../../sessions/outbox.ts'
import type { Revocations } from '../../sessions/revocations.ts'
import { Session } from '../../sessions/session.ts'
import type { SessionRegistry } from '../../sessions/session-registry.ts'
import type { WriteRoom } from '../../sessions/slow-consumers.ts'
import type { AnswerPolicy } from '../http/answer-headers.ts'
import { Exchange } from '../http/http-exchange.ts'
import { addRoute } from '../http/routes.ts'
import { peerOf } from '../listen.ts'
import { SseStream } from './sse-stream.ts'

const headers = [
  ['content-type', 'text/event-stream'],
  ['cache-control', 'no-store'],
  // A client must not reuse the connection of an ended stream: this node may be draining.
  ['connection', 'close'],
  // Some proxies buffer an answer otherwise.
  ['x-accel-buffering', 'no'],
] as const

/** Time after which a client reconnects, ms; a drain sets another one. */
const retryMs = 1_000

export interface SseParts {
  readonly helloRate: HelloRate
  readonly addresses: AddressLimit
  readonly tokens: Revocations
  readonly feed: LiveFeed
  readonly access: Access
  readonly memberships: Memberships
  readonly sessions: SessionRegistry
  readonly presence: PresenceBoard
  readonly fanOut: FanOut
  readonly catchUp: CatchUp
  readonly epochs: Epochs
  readonly writeRoom: WriteRoom
  readonly metrics: EdgeMetrics
  readonly logger: Logger
  readonly policy: AnswerPolicy
}

/** The route `GET /v1/stream`: sessions that receive the pushes of a WebSocket session as Server-Sent Events. */
export class SseSessions {
  readonly #parts: SseParts
  readonly #limits: EdgeLimits
  readonly #streams = new Map<Session, SseStream>()
  /** Sessions whose catch-up has finished: they receive live events. */
  readonly #live = new Set<Session>()
  /** Number of sessions in catch-up, by user. The registry does not count them for the user yet. */
  readonly #catchingUp = new Map<string, number>()
  readonly #timer: NodeJS.Timeout

  constructor(parts: SseParts, limits: EdgeLimits) {
    this.#parts = parts
    this.#limits = limits
    this.#timer = setInterval(() => this.#beat(), limits.heartbeatMs).unref()
  }

  register(app: TemplatedApp): void {
    addRoute(app, 'get', '/v1/stream', (res, req) => void this.#open(res, req))
  }

  /** Ends each stream. Its client reconnects after a random part of `ms`. */
  drain(ms: number): void {
    for (const [session, stream] of this.#streams) {
      const reconnectMs = Math.ceil(Math.random() * ms)
      const event = eventOf(JSON.stringify({ t: 'drain', reconnectMs }))
      push(session, `retry: ${reconnectMs}\n${event}`)
      flush(session)
      stream.end(CloseCode.goingAway, 'going away')
    }
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  async #open(res: HttpResponse, req: HttpRequest): Promise<void> {
    const { helloRate, addresses, tokens, access, logger, metrics, policy, catchUp } = this.#parts
    const started = performance.now()
    const lastId = req.getHeader('last-event-id')
    const forwarded = req.getHeader('x-forwarded-for')
    let stream: SseStream | undefined
    const exchange = new Exchange(res, req, policy, () => stream?.aborted())
    let address: AddressCount | undefined
    let outcome = 'ok'
    try {
      address = addresses.opened(peerOf(res), forwarded)
      const token = exchange.requireToken()
      const from = lastId === '' ? undefined : decodeCursor(lastId, this.#parts.feed.positions())
      const identity = await helloRate.admit(address.address, token)
      const { user, expiresAt } = identity
      access.requireFresh()
      this.#requireUserLimit(user)
      if (exchange.isHead) {
        exchange.endWithoutBody(200, headers)
        return
      }
      const session = new Session('sse', undefined, deadlineOfToken(expiresAt))
      session.user = user
      session.identity = identity
      session.id = uuidv7()
      const begin = (): boolean => {
        // The token may have been revoked, and other sessions of the user may have opened, in the meantime.
        tokens.require(identity)
        this.#requireUserLimit(user)
        const given = exchange.handOver(headers)
        if (given === undefined) return false
        session.address = address
        addresses.identified(address)
        stream = this.#begin(session, given)
        return true
      }
      if (from === undefined) await this.#fromNow(session, begin)
      else if (begin())
        void catchUp.resumeStream(session, from, epochOfCursor(lastId), conversations =>
          this.#join(session, conversations),
        )
    } catch (error) {
      const body = visibleError(error, logger, { request: 'stream' })
      outcome = body.code
      exchange.error(body)
    } finally {
      // From `begin` on, `#closed` counts down.
      if (stream === undefined) addresses.closed(address, false)
    }
    metrics.answered('stream', outcome, (performance.now() - started) / 1000)
  }

  #requireUserLimit(user: string): void {
    const { userSockets } = this.#limits
    const count = this.#parts.sessions.countOf(user) + (this.#catchingUp.get(user) ?? 0)
    if (userSockets === 0 || count < userSockets) return
    this.#parts.metrics.limited('user_sockets')
    throw tooManyConnections('This user')
  }

  #fromNow(session: Session, begin: () => boolean): Promise<void> {
    return this.#parts.memberships.of(session.user, conversations => {
      if (!begin()) return
      this.#join(session, [...conversations])
      push(session, `id: ${this.#parts.catchUp.currentId()}\n\n`)
    })
  }

  #begin(session: Session, res: HttpResponse): SseStream {
    const { sessions, writeRoom, metrics } = this.#parts
    const stream = new SseStream(res, this.#limits.backpressureBytes, {
      closed: code => this.#closed(session, code),
      moved: () => writeRoom.moved(session),
      dropped: () => metrics.dropped(),
    })
    session.ws = stream
    session.phase = 'open'
    sessions.connected(session)
    metrics.connected()
    this.#streams.set(session, stream)
    this.#catchingUp.set(session.user, (this.#catchingUp.get(session.user) ?? 0) + 1)
    const hello = { t: 'hello', ...helloFields(session, this.#limits, this.#parts.epochs) }
    push(session, `retry: ${retryMs}\n${eventOf(JSON.stringify(hello))}`)
    return stream
  }

  /** From this turn on the session receives live events. */
  #join(session: Session, conversations: readonly string[]): void {
    const { sessions, fanOut, presence } = this.#parts
    sessions.opened(session)
    fanOut.subscribeAll(session, conversations)
    this.#live.add(session)
    this.#caughtUp(session.user)
    presence.opened(session)
  }

  #caughtUp(user: string): void {
    const others = (this.#catchingUp.get(user) ?? 1) - 1
    if (others === 0) this.#catchingUp.delete(user)
    else this.#catchingUp.set(user, others)
  }

  #closed(session: Session, code: number): void {
    const { addresses, sessions, fanOut, presence, writeRoom, metrics } = this.#parts
    session.phase = 'closed'
    session.outbox = undefined
    this.#streams.delete(session)
    addresses.closed(session.address, true)
    fanOut.forget(session)
    const isLast = sessions.closed(session)
    if (this.#live.delete(session)) presence.closed(session, isLast)
    else this.#caughtUp(session.user)
    writeRoom.moved(session)
    metrics.disconnected(code)
  }

  /**
   * Sends heartbeats. Live sessions receive the current cursor too, so that quiet streams do not resume from an old
   * one.
   */
  #beat(): void {
    const id = this.#parts.catchUp.currentId()
    for (const [session, stream] of this.#streams)
      if (stream.isStuck()) session.end(CloseCode.tooSlow, 'too slow')
      else push(session, this.#live.has(session) ? `:\nid: ${id}\n\n` : ':\n\n')
  }
}
