import { randomUUID } from 'node:crypto'
import type { EdgeOptions } from './edge-options.ts'
import { AddressLimit, HelloRate } from './limits/connection-limits.ts'
import type { EdgeLimits } from './ports/edge-limits.ts'
import { Contacts, LastSeen, PresenceBoard } from './presence/index.ts'
import { closeOverdue, DeviceSessions } from './sessions/close-sessions.ts'
import { SessionRegistry } from './sessions/session-registry.ts'

/** Interval at which expired tokens and missing hellos are checked, ms. */
const overdueMs = 500

/** Wires the sessions of this node: registry, limits of new sessions, devices, presence and last-seen times. */
export const wireSessions = (options: EdgeOptions, limits: EdgeLimits) => {
  const { states, views, signals, metrics, logger } = options
  const sessions = new SessionRegistry()
  const addresses = new AddressLimit(limits, limit => metrics.limited(limit))
  const helloRate = new HelloRate(limits, limit => metrics.limited(limit))
  const devices = new DeviceSessions(signals, sessions)
  const lastSeen =
    options.lastSeen === undefined
      ? undefined
      : new LastSeen(
          { store: options.lastSeen, contacts: new Contacts(states, views), logger },
          limits.lastSeenWaiting,
        )
  const presence = new PresenceBoard(
    { edge: randomUUID(), sessions, store: options.presence, lastSeen, metrics, logger },
    limits,
  )
  let timer: NodeJS.Timeout | undefined

  return {
    sessions,
    addresses,
    helloRate,
    devices,
    lastSeen,
    presence,
    start(): void {
      timer = setInterval(
        () => closeOverdue(sessions, () => metrics.limited('hello_time')),
        overdueMs,
      ).unref()
    },
    stop(): void {
      clearInterval(timer)
      presence.close()
    },
  }
}

export type WiredSessions = ReturnType<typeof wireSessions>
