import { ConfabError, type Request, type RequestType } from '../../events/index.ts'
import type { EdgeLimits } from '../ports/edge-limits.ts'
import type { LimitName } from '../ports/edge-metrics.ts'
import { Meter, Rate, Rates, RecentKeys, UserMeter } from './rate-limits.ts'

/** Load of the node, as a share of its nearest limit, from which on only urgent requests are accepted. */
const fullFrom = 0.9

/** Requests that a nearly full node still accepts: without them a client loses its position or retries in a loop. */
const urgent: ReadonlySet<RequestType> = new Set<RequestType>([
  'read',
  'delivered',
  'sync',
  'ping',
  'mute',
  'block',
])

/**
 * Requests that count against the rate of their conversation: writes and signals. Reads and markers concern one user
 * only.
 */
const ofConversation: ReadonlySet<RequestType> = new Set<RequestType>([
  'create',
  'send',
  'edit',
  'delete',
  'react',
  'invite',
  'remove',
  'role',
  'join',
  'leave',
  'rename',
  'settings',
  'typing',
  'call',
])

/** Returns 50 to 150 % of a time, so that clients that were refused together do not retry together. */
const spread = (ms: number): number => Math.ceil(ms * (0.5 + Math.random()))

const names = { socket_rate: 'this socket', user_rate: 'this user', conversation_rate: 'this conversation' }

/** The fields of a session that admission reads and writes. */
export interface MeteredSession {
  readonly phase: string
  readonly user: string
  readonly inFlight: number
  meter: Meter | undefined
  /** Shared by the user's sessions on this node. */
  userMeter: UserMeter | undefined
}

interface SessionsByUser {
  of(user: string): readonly MeteredSession[]
}

/**
 * Decides which requests this node accepts, by rate, by unanswered requests and by load. Limits are per node: a user
 * with sessions on several nodes has the full limits on each. The meter of a user lives as long as one of its sessions.
 * Meters of users without a session, and of conversations, are cached; a meter that was dropped from the cache starts
 * at zero.
 */
export class Admission {
  readonly #socketRates: Rates
  readonly #userRates: Rates
  readonly #conversationRates: Rates
  readonly #inFlight: number
  readonly #userInFlight: number
  readonly #users: RecentKeys<UserMeter>
  readonly #conversations: RecentKeys<Meter>
  readonly #sessions: SessionsByUser
  readonly #onRefused: (limit: LimitName) => void
  readonly #load: () => number

  constructor(
    parts: {
      sessions: SessionsByUser
      /** Returns the load of the node as a share of its nearest limit; 1: full. */
      load: () => number
      onRefused: (limit: LimitName) => void
    },
    limits: EdgeLimits,
  ) {
    const { burstMs, meters } = limits
    this.#sessions = parts.sessions
    this.#onRefused = parts.onRefused
    this.#load = parts.load
    this.#inFlight = limits.inFlight
    this.#userInFlight = limits.userInFlight
    this.#socketRates = new Rates({ requests: limits.socketRequests, bytes: limits.socketBytes, burstMs })
    this.#userRates = new Rates({ requests: limits.userRequests, bytes: limits.userBytes, burstMs })
    this.#conversationRates = new Rates({
      requests: limits.conversationRequests,
      bytes: limits.conversationBytes,
      burstMs,
    })
    this.#users = new RecentKeys(meters, () => new UserMeter())
    this.#conversations = new RecentKeys(meters, () => new Meter())
  }

  /** Counts a frame of any kind. `now` is `performance.now()`. Throws ConfabError RATE_LIMITED. */
  frame(session: MeteredSession, bytes: number, now: number): void {
    session.meter ??= new Meter()
    this.#take('socket_rate', this.#socketRates, session.meter, bytes, now)
    if (session.phase !== 'open') return
    session.userMeter ??= this.#meterOf(session.user)
    this.#take('user_rate', this.#userRates, session.userMeter, bytes, now)
  }

  /** Throws ConfabError OVERLOADED when the session or its user has too many unanswered requests. */
  requireInFlight(session: MeteredSession): void {
    if (session.inFlight >= this.#inFlight) this.#refuseInFlight('socket')
    if (session.userMeter !== undefined) this.#requireUserInFlight(session.userMeter)
  }

  /**
   * Counts a request over HTTP and returns the meter of its user. The caller counts the request in `inFlight` until it
   * is answered. Throws ConfabError RATE_LIMITED or OVERLOADED.
   */
  user(user: string, bytes: number, now: number): UserMeter {
    const meter = this.#meterOf(user)
    this.#take('user_rate', this.#userRates, meter, bytes, now)
    this.#requireUserInFlight(meter)
    return meter
  }

  /** Counts a valid request over any transport. Throws ConfabError RATE_LIMITED or OVERLOADED. */
  request(request: Request, bytes: number, now: number): void {
    if (this.#load() > fullFrom && !urgent.has(request.t)) {
      this.#onRefused('node')
      throw new ConfabError('OVERLOADED', 'This node is nearly full. Retry later.', {
        retryAfterMs: spread(1_000),
      })
    }
    if ('c' in request && ofConversation.has(request.t)) {
      const meter = this.#conversations.of(request.c as string)
      this.#take('conversation_rate', this.#conversationRates, meter, bytes, now)
    }
  }

  /**
   * Reverts the count of a request that failed because its user is not a member: strangers must not use up the rate.
   */
  failed(request: Request, bytes: number, error: unknown): void {
    if (!ConfabError.is(error) || (error.code !== 'NOT_FOUND' && error.code !== 'NOT_MEMBER')) return
    if (!('c' in request) || !ofConversation.has(request.t)) return
    const meter = this.#conversations.peek(request.c as string)
    if (meter !== undefined) this.#conversationRates.giveBack(meter, bytes)
  }

  #meterOf(user: string): UserMeter {
    for (const session of this.#sessions.of(user))
      if (session.userMeter !== undefined) return session.userMeter
    return this.#users.of(user)
  }

  #requireUserInFlight(meter: UserMeter): void {
    if (this.#userInFlight > 0 && meter.inFlight >= this.#userInFlight) this.#refuseInFlight('user')
  }

  #refuseInFlight(of: 'socket' | 'user'): never {
    this.#onRefused('in_flight')
    throw new ConfabError('OVERLOADED', `Too many requests of this ${of} are unanswered. Wait for answers.`)
  }

  #take(name: keyof typeof names, rates: Rates, meter: Meter, bytes: number, now: number): void {
    const wait = rates.take(meter, now, bytes)
    if (wait <= 0) return
    this.#onRefused(name)
    throw new ConfabError('RATE_LIMITED', `Rate limit exceeded for ${names[name]}.`, {
      retryAfterMs: Math.ceil(wait),
    })
  }
}

/** Length of a burst of new sessions, ms. Sessions within a burst are not delayed. */
const helloBurstMs = 1_000
/** Longest `retryAfterMs` of a refused `hello`, ms. */
const longestRetryMs = 30_000

/**
 * Limits how many sessions open per second. Each new session costs work: token, conversations, catch-up. Beyond the
 * limit all sessions would be served late. A refused client receives a retry time of its own, spaced at the rate: with
 * one common time all refused clients would return at once.
 */
export class HelloRate {
  readonly #rate: Rate
  readonly #msEach: number
  readonly #onRefused: () => void
  #arrival = 0
  /** The retry time of the client that was refused last. */
  #lastRetryAt = 0

  /** `perSecond`: 0 for no limit. */
  constructor(perSecond: number, onRefused: () => void) {
    this.#rate = new Rate({ perSecond, burstMs: helloBurstMs })
    this.#msEach = perSecond === 0 ? 0 : 1000 / perSecond
    this.#onRefused = onRefused
  }

  /** Counts a new session. `now` is `performance.now()`. Throws ConfabError OVERLOADED with `retryAfterMs`. */
  admit(now: number): void {
    const after = this.#rate.after(this.#arrival, now, 1)
    const wait = this.#rate.waitMs(after, now)
    if (wait < 1) {
      this.#arrival = after
      return
    }
    const retryAt = Math.max(this.#lastRetryAt, now + wait) + this.#msEach
    this.#lastRetryAt = Math.min(retryAt, now + longestRetryMs)
    this.#onRefused()
    throw new ConfabError('OVERLOADED', 'Too many clients connect at the same time. Retry later.', {
      retryAfterMs: jittered(this.#lastRetryAt - now),
    })
  }
}

/** Returns 100 to 125 % of a time. */
const jittered = (ms: number): number => Math.ceil(ms * (1 + Math.random() / 4))
