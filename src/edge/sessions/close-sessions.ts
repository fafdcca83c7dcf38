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

/** Closes sessions whose token has expired, and sessions without a `hello` in time. `seconds`: now, since 1970. */
export const closeOverdue = (sessions: Iterable<Session>, seconds: number, onNoHello: () => void): void => {
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
 * Keeps one session per user and device in the whole system: a newer session replaces an older one on any edge node.
 * Session ids are UUIDv7, and so in order of time.
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
    this.#replace(user, device, id)
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
    this.#replace(user, device, session)
    // The node of the older session may have subscribed to the user's signals only after the newer one was announced.
    for (const newer of this.#sessions.of(user))
      if (newer.device === device && newer.id > session) this.#announce(user, device, newer.id)
    return true
  }

  #replace(user: string, device: string, by: string): void {
    for (const session of this.#sessions.of(user))
      if (session.device === device && session.id < by) session.end(CloseCode.replaced, 'replaced')
  }
}
