import { createViewLookup } from './commands/index.ts'
import { type Edge, startEdge } from './edge/index.ts'
import { type ConfabConfig, ConfigError, devSecret } from './infra/config/index.ts'
import { NatsSignals } from './infra/nats/index.ts'
import { openSqliteViews } from './infra/sqlite/index.ts'
import {
  createEdgeMetrics,
  createProjectionMetrics,
  createRegistry,
  type Logger,
} from './infra/telemetry/index.ts'
import { createTokenVerifier, signDevToken, type TokenOptions } from './infra/tokens/index.ts'
import { loadUws } from './infra/uws/index.ts'
import { openNats } from './open-nats.ts'
import { type ProjectionsThread, startProjectionsThread } from './projections-thread.ts'
import { type StatusServer, startStatusServer } from './status-server.ts'
import { viewsFile } from './views-file.ts'
import { openWriteSide, type WriteSide, within } from './write-side.ts'

/** A running process of confab. */
export interface Confab {
  /** Where it listens. */
  readonly url: string
  /** Undefined where it does not decide commands. */
  readonly writeSide: WriteSide | undefined
  /** Whether the log is that of the embedded server. */
  readonly isEmbedded: boolean
  /** Resolves with what it cannot go on from, should that come. */
  readonly failed: Promise<Error>
  /** Takes no more, lets what is under way end (for `drain` at most), and lets go of everything. */
  stop(): Promise<void>
}

/**
 * Starts the parts that the configuration's roles name. `prepare` runs before it says that it is ready. Throws ConfigError, NatsError, ConfabError; nothing is
 * left running then.
 */
export const startConfab = async (
  config: ConfabConfig,
  logger: Logger,
  prepare?: (confab: Pick<Confab, 'isEmbedded'> & { readonly writeSide: WriteSide }) => Promise<void>,
): Promise<Confab> => {
  const has = { edge: config.roles.includes('edge'), projections: config.roles.includes('projections') }
  if (has.edge !== config.roles.includes('commands'))
    throw new ConfigError(['roles: edge and commands go together in one process; apart they come later'])

  const failed = Promise.withResolvers<Error>()
  /** What to undo, the last first. */
  const undo: (() => unknown)[] = []
  const stop = async (): Promise<void> => {
    for (let step = undo.pop(); step !== undefined; step = undo.pop())
      try {
        await step()
      } catch (error) {
        logger.warn({ err: error }, 'stopping')
      }
  }
  const onNotice = (notice: string): void => logger.info({}, notice)

  try {
    const tokens = has.edge ? tokenOptions(config) : {}
    const system = await openNats(config, 'confab', onNotice)
    undo.push(system.close)
    const file = viewsFile(config.data)
    let writeSide: WriteSide | undefined
    let views: ReturnType<typeof openSqliteViews> | undefined
    if (has.edge) {
      views = openSqliteViews(file)
      undo.push(views.close)
      const { timeline } = views
      writeSide = await openWriteSide(system.nats, {
        lookup: log => createViewLookup(timeline, log),
        limits: { conversationBytes: config.stateCacheBytes },
        replicas: config.natsReplicas,
        onNotice,
      })
      undo.push(() => writeSide?.close(config.drainMs))
    }

    let projections: ProjectionsThread | undefined
    if (has.projections) {
      projections = await startProjectionsThread({
        natsServers: system.servers,
        viewsFile: file,
        log: logger,
        onFailure: failed.resolve,
      })
      undo.push(() => projections?.stop())
    }

    let isPrepared = false
    const readiness = async (): Promise<Record<string, boolean>> => ({
      prepared: isPrepared,
      nats: system.nats.connected(),
      ...(projections === undefined
        ? {}
        : {
            projections: projections
              .status()
              .every(({ state }) => state === 'live' || state === 'catching-up'),
          }),
    })
    const registry = createRegistry()
    const { status } = projections ?? {}
    if (status !== undefined) createProjectionMetrics(registry, status)
    let server: Edge | StatusServer
    if (writeSide !== undefined && views !== undefined) {
      const { bus, feed, log } = writeSide
      const { secret } = tokens
      let edge: Edge | undefined
      const metrics = createEdgeMetrics(registry, () => edge?.bufferedBytes() ?? 0)
      const started = await startEdge({
        uws: loadUws(),
        bus,
        feed,
        views,
        log,
        signals: new NatsSignals(system.nats),
        tokens: await createTokenVerifier(tokens),
        metrics,
        logger,
        host: config.host,
        port: config.port,
        readiness,
        ...(config.dev && secret !== undefined ? { signDevToken: user => signDevToken(secret, user) } : {}),
      })
      edge = started
      undo.push(() => started.stop())
      undo.push(() => within(config.drainMs, started.drain()))
      await feed.start()
      await prepare?.({ writeSide, isEmbedded: system.isEmbedded })
      server = started
    } else {
      const statusServer = await startStatusServer({
        host: config.host,
        port: config.port,
        readiness,
        registry,
      })
      undo.push(() => statusServer.stop())
      server = statusServer
    }
    isPrepared = true
    return {
      url: `http://${server.host.includes(':') ? `[${server.host}]` : server.host}:${server.port}`,
      writeSide,
      isEmbedded: system.isEmbedded,
      failed: failed.promise,
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

const tokenOptions = ({ dev, data, jwtSecret, jwks }: ConfabConfig): TokenOptions => {
  const secret = jwtSecret ?? (dev ? devSecret(data) : undefined)
  if (secret === undefined && jwks === undefined)
    throw new ConfigError([
      'nothing to check tokens with: give CONFAB_JWT_SECRET or CONFAB_JWKS, or --dev for a development server',
    ])
  return { ...(secret === undefined ? {} : { secret }), ...(jwks === undefined ? {} : { jwks }) }
}
