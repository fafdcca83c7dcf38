import { jittered } from '../../base/backoff.ts'
import {
  ConfabError,
  ConversationRequests,
  type ErrorCode,
  type Request,
  type RequestType,
  UserRequests,
} from '../../events/index.ts'
import type { EdgeLimits } from '../ports/edge-limits.ts'
import type { LimitName } from '../ports/edge-metrics.ts'
import type { Quotas } from './quotas.ts'
import { Meter, Rates, UserMeter } from './rates.ts'
import { RecentKeys } from './recent-keys.ts'
import type { StorageReserve } from './storage-reserve.ts'

/** The meter of a conversation. */
class ConversationMeter extends Meter {
  /** The meters of users, while more than half of a burst of the conversation is used. */
  users: Map<string, Meter> | undefined
}

/** Load, as a share of the nearest limit of the node, from which on only urgent requests are accepted. */
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
  'accept',
  'decline',
  'remove',
  'ban',
  'unban',
  'role',
  'join',
  'leave',
  'rename',
  'settings',
  'typing',
  'call',
])

/** Requests that append to the log. */
const commands: ReadonlySet<string> = new Set([
  ...Object.keys(ConversationRequests),
  ...Object.keys(UserRequests),
])

const isNewConversation = (type: RequestType): boolean => type === 'create' || type === 'direct'

const newConversationsOf = (type: RequestType): number => (isNewConversation(type) ? 1 : 0)

/** Users that a request adds or invites. */
const addedUsersOf = (request: Request): number =>
  request.t === 'invite' ? 1 : request.t === 'create' ? request.members.length : 0

/**
 * Share of the rate of a conversation that one user may have while more than half of a burst is used. Below that, a
 * user is limited by the user's own rate alone, and no share has to be counted.
 */
const userShare = 1 / 4

/** Errors after which the event of a request may be in the log nevertheless. */
const doubtful: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['UNAVAILABLE', 'INTERNAL'])

/** Refusals for which the bus may have read the logs of all users that the request names. */
const afterReads: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'FORBIDDEN',
  'CONFLICT',
  'ALREADY_EXISTS',
  'BANNED',
  'ARCHIVED',
])

const names = { socket_rate: 'this socket', user_rate: 'this user', conversation_rate: 'this conversation' }

/** The fields of a session that admission reads and writes. */
export interface MeteredSession {
  readonly phase: string
  readonly user: string
  inFlight: number
  meter: Meter | undefined
  /** Shared by the user's sessions on this node. */
  userMeter: UserMeter | undefined
}

/** A component with a limit. `load`: its use as a share of the limit, 1 when full. */
interface Loaded {
  readonly load: number
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
  readonly #shareRates: Rates
  readonly #inFlight: number
  readonly #userInFlight: number
  readonly #users: RecentKeys<UserMeter>
  readonly #conversations: RecentKeys<ConversationMeter>
  readonly #sessions: SessionsByUser
  readonly #onRefused: (limit: LimitName) => void
  readonly #loads: readonly Loaded[]
  readonly #quotas: Quotas
  readonly #reserve: StorageReserve

  constructor(
    parts: {
      sessions: SessionsByUser
      /** The components that limit the node. */
      loads: readonly Loaded[]
      quotas: Quotas
      reserve: StorageReserve
      onRefused: (limit: LimitName) => void
    },
    limits: EdgeLimits,
  ) {
    const { burstMs, meters } = limits
    this.#sessions = parts.sessions
    this.#onRefused = parts.onRefused
    this.#loads = parts.loads
    this.#quotas = parts.quotas
    this.#reserve = parts.reserve
    this.#inFlight = limits.inFlight
    this.#userInFlight = limits.userInFlight
    this.#socketRates = new Rates({ requests: limits.socketRequests, bytes: limits.socketBytes, burstMs })
    this.#userRates = new Rates({ requests: limits.userRequests, bytes: limits.userBytes, burstMs })
    this.#conversationRates = new Rates({
      requests: limits.conversationRequests,
      bytes: limits.conversationBytes,
      burstMs,
    })
    this.#shareRates = new Rates({
      requests: limits.conversationRequests * userShare,
      bytes: limits.conversationBytes * userShare,
      burstMs,
    })
    this.#users = new RecentKeys(meters, () => new UserMeter())
    this.#conversations = new RecentKeys(meters, () => new ConversationMeter())
  }

  /**
   * Counts a frame of any kind, before it is decoded. `now` is `performance.now()`. Throws ConfabError RATE_LIMITED.
   */
  frame(session: MeteredSession, bytes: number, now: number): void {
    session.meter ??= new Meter()
    this.#take('socket_rate', this.#socketRates, session.meter, bytes, now)
    if (session.phase === 'open') this.frameOfUser(session, bytes, now)
  }

  /** Counts a frame that arrived before its session had a user, for this user. Throws ConfabError RATE_LIMITED. */
  frameOfUser(session: MeteredSession, bytes: number, now: number): void {
    session.userMeter ??= this.#meterOf(session.user)
    this.#take('user_rate', this.#userRates, session.userMeter, bytes, now)
  }

  /**
   * Whether a frame that `frame` refused may be decoded, for the id that its answer repeats. Refused frames have a rate
   * of their own, as large as that of accepted ones: a client that keeps sending gets answers without ids.
   */
  mayDecodeRefused(session: MeteredSession, bytes: number, now: number): boolean {
    const { userMeter, meter } = session
    if (userMeter !== undefined) return this.#userRates.takeRefused(userMeter, now, bytes)
    return meter === undefined || this.#socketRates.takeRefused(meter, now, bytes)
  }

  /** Throws ConfabError OVERLOADED when the session or its user has too many unanswered requests. */
  requireInFlight(session: MeteredSession): void {
    if (session.inFlight >= this.#inFlight) this.#refuseInFlight('socket')
    if (session.userMeter !== undefined) this.#requireUserInFlight(session.userMeter)
  }

  /** Counts a request as unanswered, for its session and its user, until `end`. */
  begin(session: MeteredSession): void {
    session.inFlight++
    if (session.userMeter !== undefined) session.userMeter.inFlight++
  }

  end(session: MeteredSession): void {
    session.inFlight--
    if (session.userMeter !== undefined) session.userMeter.inFlight--
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

  /** Counts bytes of a request over HTTP whose size was not known before. Throws ConfabError RATE_LIMITED. */
  userBytes(meter: UserMeter, bytes: number, now: number): void {
    this.#require('user_rate', this.#userRates.takeBytes(meter, now, bytes))
  }

  /**
   * Counts a valid request of a user, over any transport. Throws ConfabError: RATE_LIMITED, QUOTA_EXCEEDED,
   * OVERLOADED.
   */
  request(request: Request, user: string, bytes: number, now: number): void {
    if (this.#loads.some(({ load }) => load > fullFrom) && !urgent.has(request.t)) {
      this.#onRefused('node')
      throw new ConfabError('OVERLOADED', 'This node is nearly full. Retry later.', {
        retryAfterMs: jittered(500, 2),
      })
    }
    const isCommand = commands.has(request.t)
    if (isNewConversation(request.t)) this.#reserve.requireForConversation()
    const added = newConversationsOf(request.t)
    if (isCommand) this.#quotas.takeCommand(user, bytes, added, addedUsersOf(request))
    try {
      this.#countInConversation(request, user, bytes, now)
    } catch (error) {
      if (isCommand) this.#quotas.giveCommandBack(user, bytes, added, addedUsersOf(request))
      throw error
    }
  }

  #countInConversation(request: Request, user: string, bytes: number, now: number): void {
    if ('c' in request && ofConversation.has(request.t)) {
      const meter = this.#conversations.of(request.c as string)
      if (this.#conversationRates.isHalfUsed(meter, now)) this.#takeShare(meter, user, bytes, now)
      else meter.users = undefined
      this.#take('conversation_rate', this.#conversationRates, meter, bytes, now)
    }
  }

  /**
   * Reverts the count of a request that was counted and then refused: strangers, and members who may not do what they
   * ask for, must not use up the rate of the conversation. Users whose logs were read stay counted: a refused `create`
   * costs the node as many reads as an accepted one.
   */
  refused(request: Request, user: string, bytes: number, error: unknown): void {
    if (!ConfabError.is(error) || doubtful.has(error.code)) return
    if (commands.has(request.t)) {
      const addedUsers = afterReads.has(error.code) ? 0 : addedUsersOf(request)
      this.#quotas.giveCommandBack(user, bytes, newConversationsOf(request.t), addedUsers)
    }
    if (!('c' in request) || !ofConversation.has(request.t)) return
    const meter = this.#conversations.peek(request.c as string)
    if (meter === undefined) return
    this.#conversationRates.giveBack(meter, bytes)
    const share = meter.users?.get(user)
    if (share !== undefined) this.#shareRates.giveBack(share, bytes)
  }

  #takeShare(meter: ConversationMeter, user: string, bytes: number, now: number): void {
    meter.users ??= new Map()
    let share = meter.users.get(user)
    if (share === undefined) {
      share = new Meter()
      meter.users.set(user, share)
    }
    this.#take('conversation_rate', this.#shareRates, share, bytes, now)
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
    this.#require(name, rates.take(meter, now, bytes))
  }

  #require(name: keyof typeof names, wait: number): void {
    if (wait <= 0) return
    this.#onRefused(name)
    throw new ConfabError('RATE_LIMITED', `Rate limit exceeded for ${names[name]}.`, {
      retryAfterMs: Math.ceil(wait),
    })
  }
}
