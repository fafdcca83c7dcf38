import type { CommandBus } from './commands/index.ts'
import { type Edge, startEdge } from './edge/index.ts'
import { type ConfabConfig, ConfigError, devSecret } from './infra/config/index.ts'
import { NatsSignals, openLastSeenBucket, openPresenceBucket } from './infra/nats/index.ts'
import { createEdgeMetrics } from './infra/telemetry/index.ts'
import { createTokenVerifier, signDevToken, type TokenOptions } from './infra/tokens/index.ts'
import { loadUws } from './infra/uws/index.ts'
import type { LogSide } from './log-side.ts'
import { openMedia } from './media-side.ts'
import type { ProcessContext, ProcessLife } from './process-context.ts'
import type { Views } from './projections/index.ts'
import { within } from './within.ts'

/** What the role `edge` stands on. */
export interface EdgeParts {
  readonly side: LogSide
  readonly views: Views
  readonly bus: CommandBus
  readonly tokens: TokenOptions
  readonly readiness: ProcessLife['readiness']
}

/** The role `edge`: serves clients. Start the feed after this. Rejects when it cannot listen. */
export const openEdgeSide = async (context: ProcessContext, parts: EdgeParts): Promise<Edge> => {
  const { config, logger, system, registry, onStop } = context
  const { side, views, bus, tokens, readiness } = parts
  const { secret } = tokens
  let edge: Edge | undefined
  const metrics = createEdgeMetrics(registry, () => edge?.bufferedBytes() ?? 0)
  const started = await startEdge({
    uws: loadUws(),
    bus,
    feed: side.feed,
    views,
    log: side.log,
    signals: new NatsSignals(system.nats),
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
  onStop('drain', () => within(config.drainMs, started.drain()))
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
