import { v7 as uuidv7 } from 'uuid'
import { CloseCode, ConfabError, type HelloAnswer, type HelloRequest, Limits } from '../../events/index.ts'
import type { Access } from '../access/access.ts'
import type { Memberships } from '../access/memberships.ts'
import type { CatchUp } from '../catch-up/catch-up.ts'
import type { FanOut } from '../delivery/fan-out.ts'
import { tooManySockets } from '../limits/connection-limits.ts'
import type { HelloRate } from '../limits/hello-rate.ts'
import type { EdgeLimits } from '../ports/edge-limits.ts'
import type { TokenVerifier } from '../ports/token-verifier.ts'
import type { PresenceBoard } from '../presence/index.ts'
import type { DeviceSessions } from '../sessions/device-sessions.ts'
import { encodeAnswer } from '../sessions/frames.ts'
import { push } from '../sessions/outbox.ts'
import type { Session } from '../sessions/session.ts'
import type { SessionRegistry } from '../sessions/session-registry.ts'

/** Turns a socket into a session of a user. */
export class HelloHandler {
  readonly #arrivals: HelloRate
  readonly #tokens: TokenVerifier
  readonly #access: Access
  readonly #memberships: Memberships
  readonly #sessions: SessionRegistry
  readonly #devices: DeviceSessions
  readonly #presence: PresenceBoard
  readonly #fanOut: FanOut
  readonly #catchUp: CatchUp
  readonly #limits: EdgeLimits

  constructor(
    parts: {
      arrivals: HelloRate
      tokens: TokenVerifier
      access: Access
      memberships: Memberships
      sessions: SessionRegistry
      devices: DeviceSessions
      presence: PresenceBoard
      fanOut: FanOut
      catchUp: CatchUp
    },
    limits: EdgeLimits,
  ) {
    this.#arrivals = parts.arrivals
    this.#tokens = parts.tokens
    this.#access = parts.access
    this.#memberships = parts.memberships
    this.#sessions = parts.sessions
    this.#devices = parts.devices
    this.#presence = parts.presence
    this.#fanOut = parts.fanOut
    this.#catchUp = parts.catchUp
    this.#limits = limits
  }

  /**
   * Answers `hello`; from then on the session gets the events of its user's conversations, those named in `resume` after what it missed of them. Rejects with
   * ConfabError; after UNAUTHENTICATED and RATE_LIMITED (the user has too many sockets) the socket is to be closed, after anything else it may try again.
   */
  async greet(session: Session, hello: HelloRequest): Promise<void> {
    const token = hello.token ?? session.token
    if (token === undefined)
      throw new ConfabError('UNAUTHENTICATED', 'hello: no token, here or in the header.')
    this.#arrivals.admit(performance.now())
    const { user, expiresAt } = await this.#tokens.verify(token)
    this.#access.requireFresh()
    await this.#memberships.of(user, conversations => {
      if (session.closed) return
      if (this.#hasTooMany(user, hello.device)) throw tooManySockets('You have')
      session.user = user
      session.deadline = expiresAt
      this.#open(session, hello, conversations)
    })
  }

  /** A device that comes back takes its own place. */
  #hasTooMany(user: string, device: string | undefined): boolean {
    const { userSockets } = this.#limits
    if (userSockets === 0 || this.#sessions.countOf(user) < userSockets) return false
    return device === undefined || !this.#sessions.of(user).some(other => other.device === device)
  }

  /** In one turn, so that no event comes between what `conversations` says and what the session gets. */
  #open(session: Session, hello: HelloRequest, conversations: Set<string>): void {
    session.id = uuidv7()
    session.device = hello.device
    session.token = undefined
    session.phase = 'open'
    this.#sessions.opened(session)
    push(session, encodeAnswer(session.encoding, hello.id, this.#answer(session)))
    const resume = hello.resume ?? {}
    for (const c of Object.keys(resume)) conversations.delete(c)
    this.#fanOut.subscribeAll(session, [...conversations])
    this.#devices.opened(session)
    this.#presence.opened(session)
    if (hello.resume !== undefined) void this.#catchUp.resume(session, resume)
  }

  #answer(session: Session): HelloAnswer {
    const { inFlight, heartbeatMs } = this.#limits
    return { user: session.user, session: session.id, epoch: 1, heartbeatMs, limits: { ...Limits, inFlight } }
  }
}

/** Ends sessions whose time is over: of the token, or for saying hello. */
export const endOverdue = (sessions: Iterable<Session>, seconds: number, onNoHello: () => void): void => {
  for (const session of sessions) {
    if (session.deadline === 0 || session.deadline > seconds) continue
    if (session.phase === 'open') session.end(CloseCode.unauthenticated, 'the token has expired')
    else {
      session.end(CloseCode.helloTimeout, 'no hello')
      onNoHello()
    }
  }
}
