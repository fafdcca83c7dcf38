import { ConfabError, type Request, type RequestType } from '../../events/index.ts'
import type { EdgeLimits } from '../ports/edge-limits.ts'
import type { LimitName } from '../ports/edge-metrics.ts'
import { Meter, Rate, Rates, RecentKeys } from './rate-limits.ts'

/** Of a bound of the whole node, from which on it leaves the rest to what cannot wait. */
const fullFrom = 0.9

/** These go on when the node is nearly full: without them a client loses its place, or asks again and again. */
const cannotWait: ReadonlySet<RequestType> = new Set<RequestType>([
  'read',
  'delivered',
  'sync',
  'ping',
  'mute',
  'block',
])

/** What others of a conversation have to bear: what is written to it, and signals. Reading it, and marks, are their user's own affair. */
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

/** Half as long to half as long again, so that those who were refused together do not come back together. */
const spread = (ms: number): number => Math.ceil(ms * (0.5 + Math.random()))

const names = { socket_rate: 'this socket', user_rate: 'you', conversation_rate: 'this conversation' }

/** What admission reads and writes of a session. */
export interface MeteredSession {
  readonly phase: string
  readonly user: string
  meter: Meter | undefined
  /** Shared by the user's sessions on this node. */
  userMeter: Meter | undefined
}

interface SessionsByUser {
  of(user: string): readonly MeteredSession[]
}

/**
 * Says which requests are begun. Rates are of this node: a user who has sockets on several gets as much at each. A user's count goes with its sockets; of those
 * without, and of conversations, the latest are remembered, so that whoever is forgotten starts anew.
 */
export class Admission {
  readonly #socketRates: Rates
  readonly #userRates: Rates
  readonly #conversationRates: Rates
  readonly #users: RecentKeys<Meter>
  readonly #conversations: RecentKeys<Meter>
  readonly #sessions: SessionsByUser
  readonly #refused: (limit: LimitName) => void
  readonly #load: () => number

  constructor(
    parts: {
      sessions: SessionsByUser
      /** How full the node is: 0 to 1 and more, of the bound that is nearest. */
      load: () => number
      refused: (limit: LimitName) => void
    },
    limits: EdgeLimits,
  ) {
    const { burstMs, meters } = limits
    this.#sessions = parts.sessions
    this.#refused = parts.refused
    this.#load = parts.load
    this.#socketRates = new Rates({ requests: limits.socketRequests, bytes: limits.socketBytes, burstMs })
    this.#userRates = new Rates({ requests: limits.userRequests, bytes: limits.userBytes, burstMs })
    this.#conversationRates = new Rates({
      requests: limits.conversationRequests,
      bytes: limits.conversationBytes,
      burstMs,
    })
    this.#users = new RecentKeys(meters, () => new Meter())
    this.#conversations = new RecentKeys(meters, () => new Meter())
  }

  /** A frame that came on a socket, of whatever kind. `now` as by `performance.now()`. Throws ConfabError RATE_LIMITED. */
  frame(session: MeteredSession, bytes: number, now: number): void {
    session.meter ??= new Meter()
    this.#take('socket_rate', this.#socketRates, session.meter, bytes, now)
    if (session.phase !== 'open') return
    session.userMeter ??= this.#meterOf(session.user)
    this.#take('user_rate', this.#userRates, session.userMeter, bytes, now)
  }

  /** A request of a user without a socket. Throws ConfabError RATE_LIMITED. */
  user(user: string, bytes: number, now: number): void {
    this.#take('user_rate', this.#userRates, this.#meterOf(user), bytes, now)
  }

  /** A checked request, however it came. Throws ConfabError RATE_LIMITED or OVERLOADED. */
  request(request: Request, bytes: number, now: number): void {
    if (this.#load() > fullFrom && !cannotWait.has(request.t)) {
      this.#refused('node')
      throw new ConfabError('OVERLOADED', 'This node has hardly any room left; try again later.', {
        retryAfterMs: spread(1_000),
      })
    }
    if ('c' in request && ofConversation.has(request.t)) {
      const meter = this.#conversations.of(request.c as string)
      this.#take('conversation_rate', this.#conversationRates, meter, bytes, now)
    }
  }

  /** What came of a request that was let in: whoever has no business in a conversation takes nothing from those who have. */
  failed(request: Request, bytes: number, error: unknown): void {
    if (!ConfabError.is(error) || (error.code !== 'NOT_FOUND' && error.code !== 'NOT_MEMBER')) return
    if (!('c' in request) || !ofConversation.has(request.t)) return
    const meter = this.#conversations.peek(request.c as string)
    if (meter !== undefined) this.#conversationRates.giveBack(meter, bytes)
  }

  #meterOf(user: string): Meter {
    for (const session of this.#sessions.of(user))
      if (session.userMeter !== undefined) return session.userMeter
    return this.#users.of(user)
  }

  #take(name: keyof typeof names, rates: Rates, meter: Meter, bytes: number, now: number): void {
    const wait = rates.take(meter, now, bytes)
    if (wait <= 0) return
    this.#refused(name)
    throw new ConfabError('RATE_LIMITED', `Too much of ${names[name]} in too short a time.`, {
      retryAfterMs: Math.ceil(wait),
    })
  }
}

/** How long a rate's worth of arrivals may come at once, ms: so many come back within a moment, and wait for nothing. */
const burstMs = 1_000
/** The longest that anybody is sent away for, ms. */
const longestMs = 30_000

/**
 * The rate at which clients may arrive at this node. Each is work: a token, the list of its conversations, what it has missed. Beyond the rate the node would
 * serve all of them late, and those that are here as well. Who is sent away gets a time of its own, one after another at the rate, or they would all come back
 * at the moment at which there is room for one.
 */
export class HelloRate {
  readonly #rate: Rate
  readonly #msEach: number
  readonly #refused: () => void
  #kept = 0
  /** The time that was given to the last one that was sent away. */
  #given = 0

  /** `perSecond`: 0 for any. */
  constructor(perSecond: number, refused: () => void) {
    this.#rate = new Rate({ perSecond, burstMs })
    this.#msEach = perSecond === 0 ? 0 : 1000 / perSecond
    this.#refused = refused
  }

  /** `now` as by `performance.now()`. Throws ConfabError OVERLOADED, with `retryAfterMs`. */
  admit(now: number): void {
    const after = this.#rate.after(this.#kept, now, 1)
    const wait = this.#rate.waitMs(after, now)
    if (wait < 1) {
      this.#kept = after
      return
    }
    this.#given = Math.min(Math.max(this.#given, now + wait) + this.#msEach, now + longestMs)
    this.#refused()
    throw new ConfabError('OVERLOADED', 'Many clients come at the same time; try again a little later.', {
      retryAfterMs: jittered(this.#given - now),
    })
  }
}

/** Up to a quarter longer. */
const jittered = (ms: number): number => Math.ceil(ms * (1 + Math.random() / 4))
