import { setTimeout as sleep } from 'node:timers/promises'
import { type Static, Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import { CloseCode, Id } from '../../events/index.ts'
import type { Signals } from '../ports/signals.ts'
import { flush, pushObject } from './outbox.ts'
import type { Session } from './session.ts'
import type { SessionRegistry } from './session-registry.ts'

const stepMs = 20

/**
 * Moves all sessions to other nodes within `ms`. In the first half, clients leave by themselves, each after a random
 * part of the time in the push `drain`. In the second half, the remaining sessions are closed with 1001 at an even
 * rate, so that the other nodes see no burst of connections.
 */
export const drainSessions = async (sessions: SessionRegistry, ms: number): Promise<void> => {
  const half = ms / 2
  const began = performance.now()
  const reconnectMs = Math.ceil(half)
  for (const session of sessions) pushObject(session, { t: 'drain', reconnectMs })
  while (sessions.size > 0 && performance.now() < began + half) await sleep(stepMs)
  const remaining = [...sessions]
  for (let ended = 0; ended < remaining.length; await sleep(stepMs)) {
    const share = Math.min(1, (performance.now() - began - half) / half)
    for (; ended < remaining.length * share; ended++) {
      const session = remaining[ended]!
      flush(session)
      session.end(CloseCode.goingAway, 'going away')
    }
    if (sessions.size === 0) return
  }
  // Sessions that connected during the drain.
  for (const session of sessions) session.end(CloseCode.goingAway, 'going away')
}

/** Returns a deadline, in seconds of the monotonic clock: a clock that is set does not move it. */
export const deadlineIn = (ms: number): number => Math.max(1, Math.ceil((performance.now() + ms) / 1_000))

/** Returns the deadline of a session whose token expires at this time, seconds since 1970; 0: never. */
export const deadlineOfToken = (expiresAt: number): number =>
  expiresAt === 0 ? 0 : deadlineIn(expiresAt * 1_000 - Date.now())

/** Closes sessions whose token has expired, and sessions without a `hello` in time. */
export const closeOverdue = (sessions: Iterable<Session>, onNoHello: () => void): void => {
  const seconds = performance.now() / 1_000
  for (const session of sessions) {
    if (session.deadline === 0 || session.deadline > seconds) continue
    if (session.phase === 'open') session.end(CloseCode.unauthenticated, 'the token has expired')
    else {
      session.end(CloseCode.helloTimeout, 'no hello')
      onNoHello()
    }
  }
}

const Announcement = Type.Object({ k: Type.Literal('device'), user: Id, device: Id, session: Id })
const announcementCheck = TypeCompiler.Compile(Announcement)

/**
 * Time within which the announcements of two sessions may cross each other, ms. A session that is open for longer is
 * older than an announced one, whatever the clocks of the two nodes say.
 */
const crossingMs = 10_000

/**
 * Keeps one session per user and device in the whole system: a newer session replaces an older one on any edge node.
 * Session ids are UUIDv7, and so in order of time where the clocks of the nodes agree.
 */
export class DeviceSessions {
  readonly #signals: Signals
  readonly #sessions: SessionRegistry

  constructor(signals: Signals, sessions: SessionRegistry) {
    this.#signals = signals
    this.#sessions = sessions
  }

  /** Closes older sessions of the same device on this node, and announces the session to the other nodes. */
  opened(session: Session): void {
    const { user, device, id } = session
    if (device === undefined) return
    session.openedAt = performance.now()
    for (const older of this.#sessions.of(user))
      if (older.device === device && older.id < id) older.end(CloseCode.replaced, 'replaced')
    this.#announce(user, device, id)
  }

  #announce(user: string, device: string, session: string): void {
    const announcement: Static<typeof Announcement> = { k: 'device', user, device, session }
    this.#signals.publish(user, announcement)
  }

  /** Handles a signal of another node. Returns false for signals of another kind. */
  receive(signal: unknown): boolean {
    if (!announcementCheck.Check(signal)) return false
    const { user, device, session } = signal
    const crossing = performance.now() - crossingMs
    for (const own of this.#sessions.of(user)) {
      if (own.device !== device || own.id === session) continue
      if (own.id < session || own.openedAt < crossing) own.end(CloseCode.replaced, 'replaced')
      // The node of the older session may have subscribed to the user's signals only after the newer one was announced.
      else this.#announce(user, device, own.id)
    }
    return true
  }
}
