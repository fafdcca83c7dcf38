import { settlesWithin } from '../base/timeout.ts'
import type { CommandBus, StateReader } from '../commands/index.ts'
import { type Edge, startEdge } from '../edge/index.ts'
import { type ConfabConfig, ConfigError, devSecret } from '../infra/config/index.ts'
import { openLastSeenBucket, openPresenceBucket } from '../infra/nats/index.ts'
import { createEdgeMetrics } from '../infra/telemetry/index.ts'
import { createTokenVerifier, signDevToken, type TokenOptions } from '../infra/tokens/index.ts'
import { loadUws } from '../infra/uws/index.ts'
import type { Views } from '../projections/index.ts'
import type { Lifecycle, ProcessContext } from './lifecycle.ts'
import type { OpenedLog } from './open-log.ts'
import { openMedia } from './open-media.ts'

/** What the role `edge` stands on. */
export interface EdgeRoleParts {
  readonly side: OpenedLog
  readonly views: Views
  readonly bus: CommandBus
  readonly states: StateReader
  readonly tokens: TokenOptions
  readonly readiness: Lifecycle['readiness']
}

/** The role `edge`: serves clients. Start the feed after this. Rejects when it cannot listen. */
export const openEdgeRole = async (context: ProcessContext, parts: EdgeRoleParts): Promise<Edge> => {
  const { config, logger, system, registry, onStop } = context
  const { side, views, bus, states, tokens, readiness } = parts
  const { secret } = tokens
  let edge: Edge | undefined
  const metrics = createEdgeMetrics(registry, () => edge?.bufferedBytes() ?? 0)
  const started = await startEdge({
    uws: loadUws(),
    bus,
    states,
    feed: side.feed,
    views,
    log: side.log,
    signals: side.signals,
    presence: await openPresenceBucket(system.nats, { replicas: config.natsReplicas }),
    lastSeen: await openLastSeenBucket(system.nats, {
      keepMs: config.edge.lastSeenMs,
      replicas: config.natsReplicas,
    }),
    tokens: await createTokenVerifier(tokens),
    media: await openMedia(context),
    metrics,
    logger,
    host: config.host,
    port: config.port,
    ...(config.grpcPort === undefined ? {} : { grpcPort: config.grpcPort }),
    limits: config.edge,
    readiness,
    ...(config.dev && secret !== undefined ? { signDevToken: user => signDevToken(secret, user) } : {}),
  })
  edge = started
  onStop('edge', () => started.stop())
  onStop('drain', () => settlesWithin(config.drainMs, started.drain()))
  return started
}

/** What tokens are checked with. Throws ConfigError when there is nothing. */
export const tokenOptions = ({ dev, data, jwtSecret, jwks }: ConfabConfig): TokenOptions => {
  const secret = jwtSecret ?? (dev ? devSecret(data) : undefined)
  if (secret === undefined && jwks === undefined)
    throw new ConfigError([
      'nothing to check tokens with: give CONFAB_JWT_SECRET or CONFAB_JWKS, or --dev for a development server',
    ])
  return { ...(secret === undefined ? {} : { secret }), ...(jwks === undefined ? {} : { jwks }) }
}
