import { v7 as uuidv7 } from 'uuid'
import { currentEpoch, type Epochs } from '../../commands/index.ts'
import { ConfabError, type HelloAnswer, type HelloRequest, Limits } from '../../events/index.ts'
import type { Access } from '../access/access.ts'
import type { Memberships } from '../access/memberships.ts'
import type { CatchUp } from '../catch-up/catch-up.ts'
import type { FanOut } from '../delivery/fan-out.ts'
import { type AddressLimit, type HelloRate, tooManyConnections } from '../limits/connection-limits.ts'
import type { EdgeLimits } from '../ports/edge-limits.ts'
import type { PresenceBoard } from '../presence/index.ts'
import { type DeviceSessions, deadlineOfToken } from '../sessions/close-sessions.ts'
import { encodeAnswer } from '../sessions/frames.ts'
import { push } from '../sessions/outbox.ts'
import type { Revocations } from '../sessions/revocations.ts'
import type { Session } from '../sessions/session.ts'
import type { SessionRegistry } from '../sessions/session-registry.ts'

export interface HelloParts {
  readonly helloRate: HelloRate
  readonly tokens: Revocations
  readonly addresses: AddressLimit
  readonly access: Access
  readonly memberships: Memberships
  readonly sessions: SessionRegistry
  readonly devices: DeviceSessions
  readonly presence: PresenceBoard
  readonly fanOut: FanOut
  readonly catchUp: CatchUp
  readonly epochs: Epochs
}

/** Handles `hello`: authenticates a session and opens it. */
export class HelloHandler {
  readonly #parts: HelloParts
  readonly #limits: EdgeLimits

  constructor(parts: HelloParts, limits: EdgeLimits) {
    this.#parts = parts
    this.#limits = limits
  }

  /**
   * Opens a session. From then on it receives the live events of its user's conversations; for conversations in
   * `resume`, the missed events first. Rejects with ConfabError. The caller closes the session after UNAUTHENTICATED
   * and after RATE_LIMITED (too many sessions of the user); after other errors the client may retry.
   */
  async open(session: Session, hello: HelloRequest): Promise<void> {
    const { helloRate, tokens, access, memberships } = this.#parts
    const token = hello.token ?? session.token
    if (token === undefined)
      throw new ConfabError('UNAUTHENTICATED', 'No token. Send one in hello or in the header Authorization.')
    const identity = await helloRate.admit(session.address?.address ?? '', token)
    const { user, expiresAt } = identity
    access.requireFresh()
    await memberships.of(user, conversations => {
      if (session.closed) return
      if (this.#hasTooMany(user, hello.device)) throw tooManyConnections('This user')
      tokens.require(identity)
      session.user = user
      session.identity = identity
      session.deadline = deadlineOfToken(expiresAt)
      this.#open(session, hello, conversations)
    })
  }

  /** A device that reconnects replaces its own session, so the new session is no additional one. */
  #hasTooMany(user: string, device: string | undefined): boolean {
    const { userSockets } = this.#limits
    const { sessions } = this.#parts
    if (userSockets === 0 || sessions.countOf(user) < userSockets) return false
    return device === undefined || !sessions.of(user).some(other => other.device === device)
  }

  /** Runs in one turn, so that no live event falls between `conversations` and the subscription. */
  #open(session: Session, hello: HelloRequest, conversations: Set<string>): void {
    const { sessions, addresses, fanOut, devices, presence, catchUp } = this.#parts
    session.id = uuidv7()
    session.device = hello.device
    session.token = undefined
    session.phase = 'open'
    addresses.identified(session.address)
    sessions.opened(session)
    push(
      session,
      encodeAnswer(session.encoding, hello.id, helloFields(session, this.#limits, this.#parts.epochs)),
    )
    const resume = hello.resume ?? {}
    for (const c of Object.keys(resume)) conversations.delete(c)
    fanOut.subscribeAll(session, [...conversations])
    devices.opened(session)
    presence.opened(session)
    if (hello.resume !== undefined) void catchUp.resume(session, resume, hello.epoch)
  }
}

/** Returns the fields of the answer to `hello`, which are also the first push of an event stream. */
export const helloFields = (
  session: Session,
  { inFlight, heartbeatMs }: EdgeLimits,
  epochs: Epochs,
): HelloAnswer => ({
  user: session.user,
  session: session.id,
  epoch: currentEpoch(epochs),
  heartbeatMs,
  limits: { ...Limits, inFlight },
})
