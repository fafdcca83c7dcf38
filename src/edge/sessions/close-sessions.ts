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
 * Moves all sessions elsewhere within `ms`: in the first half of it they go by themselves, each after a random part of the time that `drain` names; in the second
 * half those that have stayed are closed with 1001, one after another, so that what takes them in has no storm of either kind.
 */
export const drainSessions = async (sessions: SessionRegistry, ms: number): Promise<void> => {
  const half = ms / 2
  const began = performance.now()
  const reconnectMs = Math.ceil(half)
  for (const session of sessions) pushObject(session, { t: 'drain', reconnectMs })
  while (sessions.size > 0 && performance.now() < began + half) await sleep(stepMs)
  const staying = [...sessions]
  for (let ended = 0; ended < staying.length; await sleep(stepMs)) {
    const share = Math.min(1, (performance.now() - began - half) / half)
    for (; ended < staying.length * share; ended++) {
      const session = staying[ended]!
      flush(session)
      session.end(CloseCode.goingAway, 'going away')
    }
    if (sessions.size === 0) return
  }
  // Whoever came through while the others went.
  for (const session of sessions) session.end(CloseCode.goingAway, 'going away')
}

const Announcement = Type.Object({ k: Type.Literal('device'), user: Id, device: Id, session: Id })
const announcementCheck = TypeCompiler.Compile(Announcement)

/** One socket a user and device, on whatever edge: the later one replaces the earlier. Session ids are in order of time (UUIDv7). */
export class DeviceSessions {
  readonly #signals: Signals
  readonly #sessions: SessionRegistry

  constructor(signals: Signals, sessions: SessionRegistry) {
    this.#signals = signals
    this.#sessions = sessions
  }

  opened(session: Session): void {
    const { user, device, id } = session
    if (device === undefined) return
    this.#replace(user, device, id)
    const announcement: Static<typeof Announcement> = { k: 'device', user, device, session: id }
    this.#signals.publish(user, announcement)
  }

  /** Whether a signal was about this. */
  heard(signal: unknown): boolean {
    if (!announcementCheck.Check(signal)) return false
    this.#replace(signal.user, signal.device, signal.session)
    return true
  }

  #replace(user: string, device: string, by: string): void {
    for (const session of this.#sessions.of(user))
      if (session.device === device && session.id < by) session.end(CloseCode.replaced, 'replaced')
  }
}
