import type { EdgeOptions } from './edge-options.ts'
import { MalformedRequests } from './limits/malformed-requests.ts'
import { defaultEdgeLimits } from './ports/edge-limits.ts'
import type { TokenVerifier } from './ports/token-verifier.ts'
import { drainSessions } from './sessions/close-sessions.ts'
import { answerHeaders } from './transports/http/answer-headers.ts'
import { refuseAmbiguousRequests } from './transports/http/request-framing.ts'
import { createApp } from './transports/listen.ts'
import { wireDelivery } from './wire-delivery.ts'
import { wireRequests } from './wire-requests.ts'
import { wireSessions } from './wire-sessions.ts'
import { wireTransports } from './wire-transports.ts'

/** Readiness by component. `false`: required and not ready. A string: the state of an optional component. */
type Readiness = Readonly<Record<string, boolean | string>>

/** A running edge node. */
export interface Edge {
  readonly protocol: 'http' | 'https'
  readonly host: string
  readonly port: number
  /** Port of the gRPC service, if it is enabled. */
  readonly grpcPort: number | undefined
  /** Verifies tokens as this node does for its clients: revoked ones are refused. */
  readonly tokens: TokenVerifier
  /** Returns the readiness of this node's components, and of those in the options. */
  readiness(): Promise<Readiness>
  /** Returns the number of sessions. */
  connections(): number
  /** Returns the bytes buffered for slow consumers. It asks every session: call it rarely. */
  bufferedBytes(): number
  /**
   * Accepts no new sessions, asks clients to reconnect elsewhere, and closes the remaining ones with 1001, within
   * `drainMs`.
   */
  drain(): Promise<void>
  /** Closes all connections at once. */
  stop(): Promise<void>
}

/** Starts an edge node. The caller starts the feed after this. Rejects with CannotListenError. */
export const startEdge = async (options: EdgeOptions): Promise<Edge> => {
  const limits = Object.freeze({ ...defaultEdgeLimits, ...options.limits })
  const host = options.host ?? '127.0.0.1'
  const malformed = new MalformedRequests(limits, () => options.metrics.limited('malformed_requests'))
  const isSecure = options.tls !== undefined
  const always = answerHeaders({ isSecure, proxies: limits.trustProxy, hstsMs: options.hstsMs ?? 0 })
  const app = refuseAmbiguousRequests(createApp(options.uws, options.tls), {
    refusals: malformed,
    proxies: limits.trustProxy,
    always,
    needsCertificate: options.tls?.clientCaFile !== undefined,
    acceptsHost: options.acceptsHost,
  })
  let isDraining = false

  const wiredSessions = wireSessions(options, limits)
  const { sessions } = wiredSessions
  const delivery = wireDelivery(app, options, limits, wiredSessions)
  const requests = wireRequests(options, limits, wiredSessions, delivery)
  const readiness = async (): Promise<Readiness> => ({
    feed: delivery.access.isFresh,
    revocations: wiredSessions.tokens.isCurrent,
    roster: await delivery.memberships.areKnown().catch(() => false),
    accepting: !isDraining,
    ...(await options.readiness?.().catch(() => ({ parts: false }))),
  })
  const isReady = async (): Promise<boolean> => Object.values(await readiness()).every(part => part !== false)
  const wired = { ...wiredSessions, ...delivery, ...requests }
  const transports = wireTransports(app, always, options, limits, wired, isReady)

  await wiredSessions.tokens.start()
  const { port, grpcPort } = await transports.start(host)
  wiredSessions.start()
  delivery.start()
  options.logger.info({ port, grpcPort }, 'listening')

  return {
    protocol: isSecure ? 'https' : 'http',
    host,
    port,
    grpcPort,
    tokens: wiredSessions.tokens,
    readiness,
    connections: () => sessions.size,
    bufferedBytes: () => delivery.slowConsumers.count(),
    async drain() {
      if (isDraining) return
      isDraining = true
      transports.drain()
      await drainSessions(sessions, limits.drainMs)
    },
    async stop() {
      isDraining = true
      wiredSessions.stop()
      delivery.stop()
      await requests.stop()
      await transports.stop()
    },
  }
}
