import type { CommandBus, LiveFeed } from '../commands/index.ts'
import type { ConfabConfig } from '../infra/config/index.ts'
import { errorCodeOf } from '../infra/nats/index.ts'
import { createFeedMetrics, type Logger } from '../infra/telemetry/index.ts'
import { openCommandsRole, openRemoteBus } from './commands.ts'
import { openEdgeRole, tokenOptions } from './edge.ts'
import { createContext, createLifecycle, type ProcessContext, type Readiness } from './lifecycle.ts'
import { openLog } from './open-log.ts'
import { openNats } from './open-nats.ts'
import { openReadViews } from './open-views.ts'
import { openProjectionsRole } from './projections.ts'
import { startStatusServer } from './status-server.ts'

/** A running process of confab. */
export interface Confab {
  /** Where it listens. */
  readonly url: string
  /** Resolves with what it cannot go on from, should that come. */
  readonly failed: Promise<Error>
  /** Takes no more, lets what is under way end (for `drain` at most), and lets go of everything. */
  stop(): Promise<void>
}

/** How long a part may take to let go of what it has, besides draining, ms. */
const lettingGoMs = 10_000

/** What a process that decides commands has before it says that it is ready. */
export interface Prepared {
  readonly bus: CommandBus
  readonly feed: LiveFeed
  /** Whether the log is that of the embedded server. */
  readonly isEmbedded: boolean
}

/**
 * Starts the parts that the configuration's roles name. `prepare` runs where commands are decided, before it says that it is ready. Throws ConfigError,
 * NatsError, ConfabError; nothing is left running then.
 */
export const startConfab = async (
  config: ConfabConfig,
  logger: Logger,
  prepare?: (parts: Prepared) => Promise<void>,
): Promise<Confab> => {
  const has = (role: ConfabConfig['roles'][number]): boolean => config.roles.includes(role)
  const failed = Promise.withResolvers<Error>()
  const life = createLifecycle(logger, config.drainMs + lettingGoMs)
  try {
    const tokens = has('edge') ? tokenOptions(config) : undefined
    const onNotice = (notice: string): void => logger.info({}, notice)
    const onListenerError = (error: unknown, listener: string): void =>
      logger.error({ err: error, code: errorCodeOf(error), listener }, 'NATS listener failed')
    const system = await openNats(config, 'confab', onNotice, onListenerError)
    life.onStop('nats', system.close)
    const context = createContext({ config, logger, system, onNotice, onFailure: failed.resolve }, life)
    let isPrepared = false
    life.readyWhen('prepared', () => isPrepared)
    life.readyWhen('nats', () => system.nats.connected())

    const side = await openLog(system.nats, {
      replicas: config.natsReplicas,
      // Whoever decides follows everything anyway, and tells the others.
      interest: has('commands') ? 'everything' : config.interest,
      onNotice,
    })
    createFeedMetrics(context.registry, side.followed)
    life.onStop('log', side.close)
    const views = has('edge') || has('commands') ? await openReadViews(context) : undefined
    const commands =
      has('commands') && views !== undefined ? openCommandsRole(context, side, views) : undefined
    const projections = has('projections') ? await openProjectionsRole(context) : undefined
    let server: { readonly host: string; readonly port: number }
    if (tokens !== undefined && views !== undefined) {
      const { bus, states } = commands ?? openRemoteBus(context, side)
      const { viewChanges } = projections ?? {}
      const { readiness } = life
      server = await openEdgeRole(context, { side, views, viewChanges, bus, states, tokens, readiness })
    } else server = await openStatusSide(context, life.readiness)
    if (views !== undefined) await side.feed.start()
    if (commands !== undefined) {
      await prepare?.({ bus: commands.bus, feed: side.feed, isEmbedded: system.isEmbedded })
      await commands.serve()
    }
    isPrepared = true
    return {
      url: `http://${server.host.includes(':') ? `[${server.host}]` : server.host}:${server.port}`,
      failed: failed.promise,
      stop: life.stop,
    }
  } catch (error) {
    await life.stop()
    throw error
  }
}

const openStatusSide = async (
  { config: { host, port }, registry, onStop }: ProcessContext,
  readiness: () => Promise<Readiness>,
) => {
  const server = await startStatusServer({ host, port, readiness, registry })
  onStop('status', () => server.stop())
  return server
}
