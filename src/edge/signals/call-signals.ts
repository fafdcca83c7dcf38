import { type Static, Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import type { StateReader } from '../../commands/index.ts'
import { CallData, CallKind, ConfabError, Id, type RequestOf } from '../../events/index.ts'
import type { Access } from '../access/access.ts'
import { Wire } from '../delivery/wire.ts'
import { Meter, Rates, RecentKeys } from '../limits/rate-limits.ts'
import type { Signals } from '../ports/signals.ts'
import type { Caller } from '../sessions/caller.ts'
import { isSlow, push } from '../sessions/outbox.ts'
import type { Session } from '../sessions/session.ts'
import type { SessionRegistry } from '../sessions/session-registry.ts'

/** What edges tell each other: for whom it is, of whom one session alone or all but one, and what they get. */
const CallSignal = Type.Object({
  k: Type.Literal('call'),
  to: Id,
  only: Type.Optional(Id),
  push: Type.Object({
    t: Type.Literal('signal'),
    type: Type.Literal('call'),
    c: Id,
    user: Id,
    session: Type.Optional(Id),
    call: Id,
    kind: CallKind,
    data: Type.Optional(CallData),
  }),
})
type CallSignal = Static<typeof CallSignal>
const callSignalCheck = TypeCompiler.Compile(CallSignal)

/**
 * Signals of calls (WebRTC's offers, answers, candidates) from one member of a conversation to the sessions of another, on whatever edge, never stored. What they say is
 * the clients' affair. Whether both are members is asked of the conversation's own state, where it is said and again where it is heard.
 */
export class CallSignals {
  readonly #signals: Signals
  readonly #sessions: SessionRegistry
  readonly #access: Access
  readonly #states: StateReader
  readonly #refused: () => void
  readonly #callMembers: number
  readonly #rates: Rates
  readonly #meters: RecentKeys<Meter>

  /** `refused` is told of each signal that was too much. */
  constructor(
    parts: {
      signals: Signals
      sessions: SessionRegistry
      access: Access
      states: StateReader
      refused: () => void
    },
    limits: { callMembers: number; callSignals: number; burstMs: number; meters: number },
  ) {
    this.#signals = parts.signals
    this.#sessions = parts.sessions
    this.#access = parts.access
    this.#states = parts.states
    this.#refused = parts.refused
    this.#callMembers = limits.callMembers
    this.#rates = new Rates({ requests: limits.callSignals, bytes: 0, burstMs: limits.burstMs })
    this.#meters = new RecentKeys(limits.meters, () => new Meter())
  }

  /** Sends it on its way. Rejects with ConfabError: RATE_LIMITED, NOT_FOUND, NOT_MEMBER (a channel), FORBIDDEN, UNAVAILABLE. */
  async relay(request: RequestOf['call'], { user, session }: Caller): Promise<void> {
    const { c, to, session: only, call, kind, data } = request
    this.#count(user)
    const { memberCount } = await this.#access.member(c, user)
    if (memberCount > this.#callMembers)
      throw new ConfabError(
        'FORBIDDEN',
        `There are calls in conversations of up to ${this.#callMembers} members.`,
      )
    if (to !== user) await this.#requireReachable(c, user, to)
    const signal: CallSignal = {
      k: 'call',
      to,
      ...(only === undefined ? {} : { only }),
      push: {
        t: 'signal',
        type: 'call',
        c,
        user,
        ...(session === undefined ? {} : { session: session.id }),
        call,
        kind,
        ...(data === undefined ? {} : { data }),
      },
    }
    this.#signals.publish(to, signal)
  }

  /** Whether a signal was about a call. */
  heard(signal: unknown): boolean {
    if (!callSignalCheck.Check(signal)) return false
    if (this.#sessions.has(signal.to)) void this.#deliver(signal)
    return true
  }

  #count(user: string): void {
    const wait = this.#rates.take(this.#meters.of(user), performance.now(), 0)
    if (wait <= 0) return
    this.#refused()
    throw new ConfabError('RATE_LIMITED', 'Too many signals of calls in too short a time.', {
      retryAfterMs: Math.ceil(wait),
    })
  }

  async #requireReachable(c: string, user: string, to: string): Promise<void> {
    try {
      await this.#access.member(c, to)
    } catch (error) {
      if (!ConfabError.is(error) || (error.code !== 'NOT_FOUND' && error.code !== 'NOT_MEMBER')) throw error
      throw new ConfabError('NOT_FOUND', 'to: there is no such member.', { field: '/to' })
    }
    const [caller, callee] = await Promise.all([this.#states.user(user), this.#states.user(to)])
    if (caller.hasBlocked(to) || callee.hasBlocked(user))
      throw new ConfabError('FORBIDDEN', 'One of you has blocked the other.')
  }

  /** To whoever has been a member until now; where that can't be told it is lost, as any signal may be. */
  async #deliver({ to, only, push: frame }: CallSignal): Promise<void> {
    try {
      await this.#access.member(frame.c, to)
      if (frame.user !== to) await this.#access.member(frame.c, frame.user)
    } catch {
      return
    }
    const wire = Wire.of(frame)
    for (const session of this.#sessions.of(to))
      if (isMeant(session, only, frame.session)) push(session, wire.frame(session.encoding))
  }
}

/** Who says something to itself says it to its other sessions. */
const isMeant = (session: Session, only: string | undefined, from: string | undefined): boolean =>
  (only === undefined || session.id === only) && session.id !== from && !isSlow(session)
