import { setTimeout as sleep } from 'node:timers/promises'
import { CloseCode } from '../../events/index.ts'
import { flush, pushObject } from './outbox.ts'
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
