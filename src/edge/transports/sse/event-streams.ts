import type { HttpRequest, HttpResponse, TemplatedApp } from 'uWebSockets.js'
import { v7 as uuidv7 } from 'uuid'
import type { Logger } from '../../../base/logger.ts'
import { CloseCode, ConfabError, Limits } from '../../../events/index.ts'
import type { Access } from '../../access/access.ts'
import type { Memberships } from '../../access/memberships.ts'
import type { CatchUp } from '../../catch-up/catch-up.ts'
import { decodeCursor } from '../../catch-up/stream-cursor.ts'
import type { FanOut } from '../../delivery/fan-out.ts'
import { tooManySockets } from '../../limits/connection-limits.ts'
import type { HelloRate } from '../../limits/hello-rate.ts'
import type { EdgeLimits } from '../../ports/edge-limits.ts'
import type { EdgeMetrics } from '../../ports/edge-metrics.ts'
import type { TokenVerifier } from '../../ports/token-verifier.ts'
import type { PresenceBoard } from '../../presence/index.ts'
import { visibleError } from '../../requests/visible-error.ts'
import { bearerToken } from '../../sessions/caller.ts'
import { eventOf } from '../../sessions/frames.ts'
import { flush, push } from '../../sessions/outbox.ts'
import { Session } from '../../sessions/session.ts'
import type { SessionRegistry } from '../../sessions/session-registry.ts'
import type { WriteRoom } from '../../sessions/write-room.ts'
import { type CorsPolicy, Exchange } from '../http/http-exchange.ts'
import { addRoute } from '../http/routes.ts'
import { EventStream } from './event-stream.ts'

const headers = [
  ['content-type', 'text/event-stream'],
  ['cache-control', 'no-store'],
  // Some proxies keep an answer until there is much of it.
  ['x-accel-buffering', 'no'],
] as const

/** How long a client waits before it comes again, ms, unless the node goes away. */
const retryMs = 1_000

interface StreamParts {
  readonly arrivals: HelloRate
  readonly tokens: TokenVerifier
  readonly access: Access
  readonly memberships: Memberships
  readonly sessions: SessionRegistry
  readonly presence: PresenceBoard
  readonly fanOut: FanOut
  readonly catchUp: CatchUp
  readonly writeRoom: WriteRoom
  readonly metrics: EdgeMetrics
  readonly logger: Logger
  readonly cors: CorsPolicy
}

/** `GET /v1/stream`: sessions that get what a socket's session gets, as Server-Sent Events. */
export class EventStreams {
  readonly #parts: StreamParts
  readonly #limits: EdgeLimits
  readonly #streams = new Map<Session, EventStream>()
  /** Sessions that have come as far as the node. */
  readonly #live = new Set<Session>()
  /** Streams that have not come as far yet, by user: the registry does not count them. */
  readonly #arriving = new Map<string, number>()
  readonly #timer: NodeJS.Timeout

  constructor(parts: StreamParts, limits: EdgeLimits) {
    this.#parts = parts
    this.#limits = limits
    this.#timer = setInterval(() => this.#beat(), limits.heartbeatMs).unref()
  }

  register(app: TemplatedApp): void {
    addRoute(app, 'get', '/v1/stream', (res, req) => void this.#open(res, req))
  }

  /** Ends each stream, and has its client come back after a random part of this time. */
  drain(ms: number): void {
    for (const [session, stream] of this.#streams) {
      const reconnectMs = Math.ceil(Math.random() * ms)
      const event = eventOf(JSON.stringify({ t: 'drain', reconnectMs }))
      push(session, `retry: ${reconnectMs}\n${event}`)
      flush(session)
      stream.end(CloseCode.goingAway, 'going away')
    }
  }

  close(): void {
    clearInterval(this.#timer)
  }

  async #open(res: HttpResponse, req: HttpRequest): Promise<void> {
    const { arrivals, tokens, access, logger, metrics, cors, catchUp } = this.#parts
    const started = performance.now()
    const lastId = req.getHeader('last-event-id')
    let stream: EventStream | undefined
    const exchange = new Exchange(res, req, cors, () => stream?.aborted())
    let outcome = 'ok'
    try {
      const token = bearerToken(exchange.authorization)
      if (token === undefined)
        throw new ConfabError('UNAUTHENTICATED', 'There is no token in the header Authorization: Bearer ….')
      const from = lastId === '' ? undefined : decodeCursor(lastId)
      arrivals.admit(started)
      const { user, expiresAt } = await tokens.verify(token)
      access.requireFresh()
      this.#requireRoom(user)
      if (exchange.isHead) {
        exchange.endWithoutBody(200, headers)
        return
      }
      const session = new Session('sse', undefined, expiresAt)
      session.user = user
      session.id = uuidv7()
      const begin = (): boolean => {
        // Others of the same user may have begun since.
        this.#requireRoom(user)
        const given = exchange.handOver(headers)
        if (given === undefined) return false
        stream = this.#begin(session, given)
        return true
      }
      if (from === undefined) await this.#fromNow(session, begin)
      else if (begin())
        void catchUp.resumeStream(session, from, conversations => this.#join(session, conversations))
    } catch (error) {
      const body = visibleError(error, logger, { request: 'stream' })
      outcome = body.code
      exchange.error(body)
    }
    metrics.answered('stream', outcome, (performance.now() - started) / 1000)
  }

  #requireRoom(user: string): void {
    const { userSockets } = this.#limits
    const count = this.#parts.sessions.countOf(user) + (this.#arriving.get(user) ?? 0)
    if (userSockets === 0 || count < userSockets) return
    this.#parts.metrics.limited('user_sockets')
    throw tooManySockets('You have')
  }

  #fromNow(session: Session, begin: () => boolean): Promise<void> {
    return this.#parts.memberships.of(session.user, conversations => {
      if (!begin()) return
      this.#join(session, [...conversations])
      push(session, `id: ${this.#parts.catchUp.currentId()}\n\n`)
    })
  }

  #begin(session: Session, res: HttpResponse): EventStream {
    const { sessions, writeRoom, metrics } = this.#parts
    const stream = new EventStream(res, this.#limits.backpressureBytes, {
      closed: code => this.#closed(session, code),
      moved: () => writeRoom.moved(session),
      dropped: () => metrics.dropped(),
    })
    session.ws = stream
    session.phase = 'open'
    sessions.connected(session)
    metrics.connected()
    this.#streams.set(session, stream)
    this.#arriving.set(session.user, (this.#arriving.get(session.user) ?? 0) + 1)
    const { inFlight, heartbeatMs } = this.#limits
    const hello = {
      t: 'hello',
      user: session.user,
      session: session.id,
      epoch: 1,
      heartbeatMs,
      limits: { ...Limits, inFlight },
    }
    push(session, `retry: ${retryMs}\n${eventOf(JSON.stringify(hello))}`)
    return stream
  }

  /** From this turn on it gets what is live. */
  #join(session: Session, conversations: readonly string[]): void {
    const { sessions, fanOut, presence } = this.#parts
    sessions.opened(session)
    fanOut.subscribeAll(session, conversations)
    this.#live.add(session)
    this.#arrived(session.user)
    presence.opened(session)
  }

  #arrived(user: string): void {
    const others = (this.#arriving.get(user) ?? 1) - 1
    if (others === 0) this.#arriving.delete(user)
    else this.#arriving.set(user, others)
  }

  #closed(session: Session, code: number): void {
    const { sessions, fanOut, presence, writeRoom, metrics } = this.#parts
    session.phase = 'closed'
    session.outbox = undefined
    this.#streams.delete(session)
    fanOut.forget(session)
    const isLast = sessions.closed(session)
    if (this.#live.delete(session)) presence.closed(session, isLast)
    else this.#arrived(session.user)
    writeRoom.moved(session)
    metrics.disconnected(code)
  }

  /** Keeps the connection from looking idle, and a quiet stream's place from growing old. */
  #beat(): void {
    const id = this.#parts.catchUp.currentId()
    for (const [session, stream] of this.#streams)
      if (stream.isStuck()) session.end(CloseCode.tooSlow, 'too slow')
      else push(session, this.#live.has(session) ? `:\nid: ${id}\n\n` : ':\n\n')
  }
}
