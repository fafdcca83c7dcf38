import { hostname } from 'node:os'
import { settlesWithin } from '../base/timeout.ts'
import { readServerTls } from '../base/tls-files.ts'
import type { CommandBus, StateReader } from '../commands/index.ts'
import {
  type Edge,
  type EdgeMetrics,
  type EdgeOptions,
  type SessionQueries,
  startEdge,
  type TokenVerifier,
} from '../edge/index.ts'
import { type ConfabConfig, ConfigError, devSecret as readDevSecret } from '../infra/config/index.ts'
import {
  createSessionQueries,
  openLastSeenBucket,
  openPresenceBucket,
  openQuotaBucket,
  openRevocationBucket,
} from '../infra/nats/index.ts'
import { createEdgeMetrics, type Tracing } from '../infra/telemetry/index.ts'
import { signDevToken, type TokenOptions } from '../infra/tokens/index.ts'
import { loadUws } from '../infra/uws/index.ts'
import type { Views } from '../projections/index.ts'
import { acceptedHosts } from './accepted-hosts.ts'
import type { Lifecycle, ProcessContext } from './lifecycle.ts'
import type { OpenedLog } from './open-log.ts'
import { openMedia } from './open-media.ts'
import { RecentRate } from './ops/recent-rate.ts'
import { watchStorageReserve } from './storage-reserve.ts'

/** The services that the role `edge` uses. */
export interface EdgeRoleParts {
  readonly log: OpenedLog
  readonly views: Views
  /** Changes of the views that this process feeds. */
  readonly viewChanges: EdgeOptions['viewChanges']
  readonly bus: CommandBus
  readonly states: StateReader
  readonly tokens: TokenVerifier
  /** Secret of development tokens. */
  readonly devSecret: string | undefined
  readonly readiness: Lifecycle['readiness']
}

/** The role `edge`: serves clients. Start the feed after it. Rejects when it cannot listen. */
export const openEdgeRole = async (context: ProcessContext, parts: EdgeRoleParts): Promise<Edge> => {
  const { config, logger, system, registry, tracing, onStop } = context
  const { log: opened, views, viewChanges, bus, states, tokens, devSecret, readiness } = parts
  let edge: Edge | undefined
  const metrics = withSpans(
    createEdgeMetrics(registry, () => edge?.bufferedBytes() ?? 0),
    tracing,
  )
  const deliveries = new RecentRate()
  const started = await startEdge({
    uws: loadUws(),
    bus: tracing?.traced(bus, 'edge') ?? bus,
    states,
    feed: opened.feed,
    epochs: opened.layout,
    views,
    viewChanges,
    log: opened.log,
    signals: opened.signals,
    presence: await openPresenceBucket(system.nats, { replicas: config.natsReplicas }),
    lastSeen: await openLastSeenBucket(system.nats, {
      keepMs: config.edge.lastSeenMs,
      replicas: config.natsReplicas,
    }),
    tokens,
    revocations: await openRevocationBucket(system.nats, {
      keepMs: config.tokens.maxLifetimeMs + config.tokens.clockToleranceMs,
      replicas: config.natsReplicas,
    }),
    sessionQueries: withRate(createSessionQueries(system.nats), deliveries),
    quotas: await openQuotaBucket(system.nats, { replicas: config.natsReplicas }),
    storage: await watchStorageReserve(context),
    node: `${hostname()}/${process.pid}`,
    media: await openMedia(context),
    metrics: countDeliveries(metrics, deliveries),
    logger,
    ...(config.corsOrigins === undefined ? {} : { corsOrigins: config.corsOrigins }),
    ...(config.socketOrigins === undefined ? {} : { socketOrigins: config.socketOrigins }),
    host: config.host,
    port: config.port,
    ...(config.grpcPort === undefined ? {} : { grpcPort: config.grpcPort }),
    tls: edgeTlsOf(config),
    grpcTls: grpcTlsOf(config),
    hstsMs: config.hstsMs,
    limits: config.edge,
    readiness,
    ...(devSecret === undefined
      ? {}
      : {
          signDevToken: user => signDevToken(devSecret, user, config.tokens),
          acceptsHost: acceptedHosts(config),
        }),
  })
  edge = started
  // During the drain, projections of this process keep the views current, and operators see its metrics.
  onStop('edge', () => started.stop(), [
    'command bus',
    'projections',
    'views',
    'media',
    'log',
    'nats',
    'admin server',
    'tracing',
  ])
  onStop('edge drain', () => settlesWithin(config.drainMs, started.drain()), ['edge'])
  return started
}

/** Returns metrics that also record each delivery as a span. */
const withSpans = (metrics: EdgeMetrics, tracing: Tracing | undefined): EdgeMetrics =>
  tracing === undefined
    ? metrics
    : {
        ...metrics,
        delivered: (sockets, seconds, event) => {
          metrics.delivered(sockets, seconds, event)
          tracing.delivered(event, sockets, seconds)
        },
      }

/** Returns metrics that also count the deliveries for the rate of this node. */
const countDeliveries = (metrics: EdgeMetrics, rate: RecentRate): EdgeMetrics => ({
  ...metrics,
  delivered: (sockets, seconds, event) => {
    metrics.delivered(sockets, seconds, event)
    rate.add(sockets)
  },
})

/** Returns queries whose answers about this node include its rate. */
const withRate = (queries: SessionQueries, rate: RecentRate): SessionQueries => ({
  ...queries,
  answer: handle => queries.answer(async query => ({ ...(await handle(query)), rate: rate.perSecond() })),
})

const edgeTlsOf = ({ edgeTls }: ConfabConfig): EdgeOptions['tls'] => {
  const { certFile, keyFile, clientCaFile, minVersion } = edgeTls
  return certFile === undefined || keyFile === undefined
    ? undefined
    : { certFile, keyFile, clientCaFile, minVersion }
}

/** gRPC has certificate and key of its own, or else those of the public listener. */
const grpcTlsOf = ({ grpcTls, edgeTls }: ConfabConfig): EdgeOptions['grpcTls'] => {
  const { certFile, keyFile } = grpcTls.certFile === undefined ? edgeTls : grpcTls
  return readServerTls('grpc', { ...grpcTls, certFile, keyFile }, edgeTls.minVersion)
}

/** The keys that verify tokens. */
export interface TokenKeys extends TokenOptions {
  /** The secret of this installation's development tokens, which nothing else is signed with. */
  readonly devSecret: string | undefined
}

/**
 * Returns the keys that verify tokens; undefined when the configuration names none. Throws ConfigError when the process
 * needs them.
 */
export const tokenKeys = ({ dev, data, tokens }: ConfabConfig, areNeeded: boolean): TokenKeys | undefined => {
  if (dev) {
    const secret = readDevSecret(data)
    return { ...tokens, secret, devSecret: secret }
  }
  if (tokens.secret !== undefined || tokens.jwks !== undefined) return { ...tokens, devSecret: undefined }
  if (!areNeeded) return undefined
  throw new ConfigError([
    'no key to verify tokens: set CONFAB_JWT_SECRET or CONFAB_JWKS, or --dev for a development server',
  ])
}
