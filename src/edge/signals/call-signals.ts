import { type Static, Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import type { StateReader } from '../../commands/index.ts'
import { CallData, CallKind, ConfabError, Id, type RequestOf } from '../../events/index.ts'
import { type Access, requireOpen } from '../access/access.ts'
import { hasBlockBetween } from '../access/blocks.ts'
import { Wire } from '../delivery/wire.ts'
import { Meter, Rates } from '../limits/rates.ts'
import { RecentKeys } from '../limits/recent-keys.ts'
import type { Signals } from '../ports/signals.ts'
import type { Caller } from '../sessions/caller.ts'
import { isSlow, push } from '../sessions/outbox.ts'
import type { Session } from '../sessions/session.ts'
import type { SessionRegistry } from '../sessions/session-registry.ts'

/**
 * A signal of a call between edge nodes: the receiving user, one session of the user if only that one is meant, and the
 * push.
 */
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
 * Relays call signals (offers, answers and candidates of WebRTC) from a member of a conversation to the sessions of
 * another member, on any edge node. They are never stored, and confab does not read their data. The sending and the
 * receiving node both check by the state of the conversation that the two users are members.
 */
export class CallSignals {
  readonly #signals: Signals
  readonly #sessions: SessionRegistry
  readonly #access: Access
  readonly #states: StateReader
  readonly #onLimited: () => void
  readonly #callMembers: number
  readonly #rates: Rates
  readonly #meters: RecentKeys<Meter>

  /** `onLimited` is called for each signal beyond the rate limit. */
  constructor(
    parts: {
      signals: Signals
      sessions: SessionRegistry
      access: Access
      states: StateReader
      onLimited: () => void
    },
    limits: { callMembers: number; callSignals: number; burstMs: number; meters: number },
  ) {
    this.#signals = parts.signals
    this.#sessions = parts.sessions
    this.#access = parts.access
    this.#states = parts.states
    this.#onLimited = parts.onLimited
    this.#callMembers = limits.callMembers
    this.#rates = new Rates({ requests: limits.callSignals, bytes: 0, burstMs: limits.burstMs })
    this.#meters = new RecentKeys(limits.meters, () => new Meter())
  }

  /**
   * Sends a signal. Rejects with ConfabError: RATE_LIMITED, NOT_FOUND, NOT_MEMBER (a channel), FORBIDDEN, ARCHIVED,
   * UNAVAILABLE.
   */
  async relay(request: RequestOf['call'], { user, session }: Caller): Promise<void> {
    const { c, to, session: only, call, kind, data } = request
    this.#count(user)
    const view = await this.#access.member(c, user)
    const { memberCount } = view
    // A call that is under way may end.
    if (kind !== 'bye') requireOpen(view)
    if (memberCount > this.#callMembers)
      throw new ConfabError(
        'FORBIDDEN',
        `Calls are limited to conversations of up to ${this.#callMembers} members.`,
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

  /** Handles a signal from an edge node. False: it is not about a call. */
  receive(signal: unknown): boolean {
    if (!callSignalCheck.Check(signal)) return false
    if (this.#sessions.has(signal.to)) void this.#deliver(signal)
    return true
  }

  #count(user: string): void {
    const wait = this.#rates.take(this.#meters.of(user), performance.now(), 0)
    if (wait <= 0) return
    this.#onLimited()
    throw new ConfabError('RATE_LIMITED', 'Call signal rate limit exceeded for this user.', {
      retryAfterMs: Math.ceil(wait),
    })
  }

  async #requireReachable(c: string, user: string, to: string): Promise<void> {
    try {
      await this.#access.member(c, to)
    } catch (error) {
      if (!ConfabError.is(error) || (error.code !== 'NOT_FOUND' && error.code !== 'NOT_MEMBER')) throw error
      throw new ConfabError('NOT_FOUND', 'to: not a member of the conversation.', { field: '/to' })
    }
    if (await hasBlockBetween(this.#states, user, to))
      throw new ConfabError('FORBIDDEN', 'One of the two users has blocked the other.')
  }

  /** Pushes a signal if both users are members. Where that is unknown, the signal is lost, as signals may be. */
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

/** Whether a session gets the signal. A user who calls itself reaches its other sessions. */
const isMeant = (session: Session, only: string | undefined, from: string | undefined): boolean =>
  (only === undefined || session.id === only) && session.id !== from && !isSlow(session)
