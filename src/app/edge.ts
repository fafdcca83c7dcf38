import { settlesWithin } from '../base/timeout.ts'
import type { CommandBus, StateReader } from '../commands/index.ts'
import { type Edge, type EdgeOptions, startEdge } from '../edge/index.ts'
import { type ConfabConfig, ConfigError, devSecret } from '../infra/config/index.ts'
import { openLastSeenBucket, openPresenceBucket, openQuotaBucket } from '../infra/nats/index.ts'
import { createEdgeMetrics } from '../infra/telemetry/index.ts'
import { createTokenVerifier, signDevToken, type TokenOptions } from '../infra/tokens/index.ts'
import { loadUws } from '../infra/uws/index.ts'
import type { Views } from '../projections/index.ts'
import type { Lifecycle, ProcessContext } from './lifecycle.ts'
import type { OpenedLog } from './open-log.ts'
import { openMedia } from './open-media.ts'
import { watchStorageReserve } from './storage-reserve.ts'

/** The services that the role `edge` uses. */
export interface EdgeRoleParts {
  readonly log: OpenedLog
  readonly views: Views
  /** Changes of the views that this process feeds. */
  readonly viewChanges: EdgeOptions['viewChanges']
  readonly bus: CommandBus
  readonly states: StateReader
  readonly tokens: TokenOptions
  readonly readiness: Lifecycle['readiness']
}

/** The role `edge`: serves clients. Start the feed after it. Rejects when it cannot listen. */
export const openEdgeRole = async (context: ProcessContext, parts: EdgeRoleParts): Promise<Edge> => {
  const { config, logger, system, registry, onStop } = context
  const { log: opened, views, viewChanges, bus, states, tokens, readiness } = parts
  const { secret } = tokens
  let edge: Edge | undefined
  const metrics = createEdgeMetrics(registry, () => edge?.bufferedBytes() ?? 0)
  const started = await startEdge({
    uws: loadUws(),
    bus,
    states,
    feed: opened.feed,
    views,
    viewChanges,
    log: opened.log,
    signals: opened.signals,
    presence: await openPresenceBucket(system.nats, { replicas: config.natsReplicas }),
    lastSeen: await openLastSeenBucket(system.nats, {
      keepMs: config.edge.lastSeenMs,
      replicas: config.natsReplicas,
    }),
    quotas: await openQuotaBucket(system.nats, { replicas: config.natsReplicas }),
    storage: await watchStorageReserve(context),
    tokens: await createTokenVerifier(tokens),
    media: await openMedia(context),
    metrics,
    logger,
    ...(config.corsOrigins === undefined ? {} : { corsOrigins: config.corsOrigins }),
    host: config.host,
    port: config.port,
    ...(config.grpcPort === undefined ? {} : { grpcPort: config.grpcPort }),
    limits: config.edge,
    readiness,
    ...(config.dev && secret !== undefined ? { signDevToken: user => signDevToken(secret, user) } : {}),
  })
  edge = started
  // Projections of this process keep the views current for clients that still read during the drain.
  onStop('edge', () => started.stop(), ['command bus', 'projections', 'views', 'media', 'log', 'nats'])
  onStop('edge drain', () => settlesWithin(config.drainMs, started.drain()), ['edge'])
  return started
}

/** The keys that verify tokens. Throws ConfigError when the configuration names none. */
export const tokenOptions = ({ dev, data, tokens }: ConfabConfig): TokenOptions => {
  const secret = tokens.secret ?? (dev ? devSecret(data) : undefined)
  if (secret === undefined && tokens.jwks === undefined)
    throw new ConfigError([
      'no key to verify tokens: set CONFAB_JWT_SECRET or CONFAB_JWKS, or --dev for a development server',
    ])
  return { ...tokens, secret }
}
