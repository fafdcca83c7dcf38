import { randomUUID } from 'node:crypto'
import type { EdgeOptions } from './edge-options.ts'
import { ClientTokens } from './limits/client-tokens.ts'
import { AddressLimit, HelloRate } from './limits/connection-limits.ts'
import type { EdgeLimits } from './ports/edge-limits.ts'
import { Contacts, LastSeen, PresenceBoard } from './presence/index.ts'
import { closeOverdue, DeviceSessions } from './sessions/close-sessions.ts'
import { Revocations } from './sessions/revocations.ts'
import { SessionDirectory } from './sessions/session-directory.ts'
import { SessionRegistry } from './sessions/session-registry.ts'

/** Interval at which expired tokens and missing hellos are checked, ms. */
const overdueMs = 500

/**
 * Wires the sessions of this node: registry, tokens and revocations, limits of new sessions, devices, presence and
 * last-seen times.
 */
export const wireSessions = (options: EdgeOptions, limits: EdgeLimits) => {
  const { states, views, signals, metrics, logger, node = randomUUID() } = options
  const sessions = new SessionRegistry()
  const tokens = new Revocations({
    tokens: options.tokens,
    store: options.revocations,
    sessions,
    logger,
  })
  const addresses = new AddressLimit(limits, limit => metrics.limited(limit))
  const clientTokens = new ClientTokens(limits, tokens, () => metrics.limited('address_failures'))
  const helloRate = new HelloRate(limits, clientTokens, limit => metrics.limited(limit))
  const devices = new DeviceSessions(signals, sessions)
  const contacts = new Contacts(states, views)
  const lastSeen =
    options.lastSeen === undefined
      ? undefined
      : new LastSeen({ store: options.lastSeen, logger }, limits.lastSeenWaiting)
  const presence = new PresenceBoard(
    { edge: randomUUID(), sessions, store: options.presence, lastSeen, contacts, metrics, logger },
    limits,
  )
  const directory = new SessionDirectory(
    { node, sessions, queries: options.sessionQueries },
    () => presence.otherNodes,
  )
  let timer: NodeJS.Timeout | undefined

  return {
    sessions,
    tokens,
    clientTokens,
    directory,
    addresses,
    helloRate,
    devices,
    lastSeen,
    contacts,
    presence,
    start(): void {
      timer = setInterval(
        () => closeOverdue(sessions, () => metrics.limited('hello_time')),
        overdueMs,
      ).unref()
    },
    stop(): void {
      clearInterval(timer)
      directory.stop()
      tokens.stop()
      presence.close()
    },
  }
}

export type WiredSessions = ReturnType<typeof wireSessions>
