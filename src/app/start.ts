import { hostname } from 'node:os'
import { aborted } from '../base/sleep.ts'
import { confabVersion } from '../base/version.ts'
import type { CommandBus, LiveFeed } from '../commands/index.ts'
import { type ConfabConfig, type Role, shownConfig } from '../infra/config/index.ts'
import {
  checkRights,
  errorCodeOf,
  loadStreams,
  NatsProblem,
  type Refusal,
  refusalText,
} from '../infra/nats/index.ts'
import { loadTopology } from '../infra/nats/regions/index.ts'
import {
  createAuditMetrics,
  createCertificateMetrics,
  createFeedMetrics,
  createVersionMetric,
  type Logger,
  openTracing,
} from '../infra/telemetry/index.ts'
import { createTokenVerifier } from '../infra/tokens/index.ts'
import { openAdminServer } from './admin-server.ts'
import { startBackups } from './backups.ts'
import { readCertificates } from './certificates.ts'
import { openCommandsRole, openRemoteBus } from './commands.ts'
import { openEdgeRole, tokenKeys } from './edge.ts'
import { type HttpListener, urlOf } from './http-listener.ts'
import { createContext, createLifecycle, type Lifecycle, stopTimeoutOf } from './lifecycle.ts'
import { auditStreamOf, changesOf, openAuditTrail, startFacts } from './open-audit.ts'
import { openLog } from './open-log.ts'
import { type OpenNatsOptions, openNats } from './open-nats.ts'
import { openReadViews } from './open-views.ts'
import { StateHistory } from './ops/state-history.ts'
import { checkRegionOptions, findOwnRegion } from './own-region.ts'
import { openProjectionsRole } from './projections.ts'
import { openStatusServer } from './status-server.ts'
import { watchLostEvents } from './watch-cuts.ts'

/** A running confab process. */
export interface Confab {
  /** Address of its HTTP server. */
  readonly url: string
  /** Address of its admin listener; undefined when that is off. */
  readonly adminUrl: string | undefined
  /** Resolves with an error after which the process cannot continue, should one occur. */
  readonly failed: Promise<Error>
  /** Drains clients and commands, then stops all components, within `stopTimeout`. Never rejects. */
  stop(): Promise<void>
}

/** The components that `prepare` may use. */
export interface Prepared {
  readonly bus: CommandBus
  readonly feed: LiveFeed
  /** Whether the log is on the embedded server. */
  readonly isEmbedded: boolean
}

export interface StartOptions extends Pick<OpenNatsOptions, 'onFetch'> {
  /** Runs in a process with the role `commands`, before it becomes ready. */
  readonly prepare?: (parts: Prepared) => Promise<void>
  /** Ends the start: the components started so far are stopped, and `startConfab` resolves with undefined. */
  readonly signal?: AbortSignal
}

/**
 * Starts the components of the configured roles. Throws ConfigError, TlsError, NatsError, ConfabError; then no
 * component is left running. Resolves with undefined when `signal` aborts during the start.
 */
export const startConfab = async (
  config: ConfabConfig,
  logger: Logger,
  options: StartOptions = {},
): Promise<Confab | undefined> => {
  const { signal } = options
  const life = createLifecycle(logger, stopTimeoutOf(config))
  const starting = startRoles(config, logger, life, options)
  try {
    const confab = await (signal === undefined
      ? starting
      : Promise.race([starting, aborted(signal).then(() => undefined)]))
    if (confab === undefined) await life.stop()
    return confab
  } catch (error) {
    await life.stop()
    throw error
  } finally {
    // After an abort, components that are still starting fail because their services are gone.
    starting.catch(() => {})
  }
}

const startRoles = async (
  config: ConfabConfig,
  logger: Logger,
  life: Lifecycle,
  { prepare, ...natsOptions }: StartOptions,
): Promise<Confab> => {
  const has = (role: Role): boolean => config.roles.includes(role)
  const failed = Promise.withResolvers<Error>()
  const onNotice = (notice: string): void => logger.info({}, notice)
  const certificates = readCertificates(config)
  const topology = loadTopology(loadStreams(), config.topology)
  checkRegionOptions(topology, config)
  const keys = tokenKeys(config, has('edge'))
  const tokens =
    keys === undefined
      ? undefined
      : await createTokenVerifier(keys, { onNotice: notice => logger.warn({}, notice) })
  let isPrepared = false
  life.readyWhen('prepared', () => isPrepared)

  const onListenerError = (error: unknown, listener: string): void =>
    logger.error({ err: error, code: errorCodeOf(error), listener }, 'NATS listener failed')
  const onRefusal = (refusal: Refusal): void =>
    logger.error({ ...refusal, code: NatsProblem.rights, roles: config.roles }, refusalText(refusal))
  const system = await openNats(config, 'confab', onNotice, { ...natsOptions, onListenerError, onRefusal })
  life.onStop('nats', system.close)
  life.readyWhen('nats', () => system.nats.connected())
  await checkRights(system.nats, config.roles)
  const region = await findOwnRegion(system.nats, topology, config)
  const tracing = await openTracing(config.tracing, {
    instance: `${hostname()}/${process.pid}`,
    roles: config.roles,
    onNotice: notice => logger.warn({}, notice),
  })
  if (tracing !== undefined) life.onStop('tracing', tracing.stop)
  const audit = openAuditTrail(system.nats, config, {
    onUnrecorded: (error, action) =>
      logger.error({ err: error, action }, 'action not recorded in the audit stream'),
  })
  life.onStop('audit', () => audit.stop(), ['nats'])
  const context = createContext(
    { config, region, logger, system, tracing, audit, onNotice, onFailure: failed.resolve },
    life,
  )
  createVersionMetric(context.registry, confabVersion(), config.roles)
  createCertificateMetrics(context.registry, certificates)

  const log = await openLog(system.nats, {
    replicas: config.natsReplicas,
    ownsStreams: system.isEmbedded,
    regions: region && { topology, own: region, writes: has('commands') },
    // A process that decides reads every event for its states, and writes the digests for the other processes.
    interest: has('commands') ? 'everything' : config.interest,
    timeoutMs: config.natsTimeoutMs,
    onNotice,
  })
  life.onStop('log', log.close, ['nats'])
  watchLostEvents(log.layout, log.feed, failed.resolve)
  createFeedMetrics(context.registry, log.followed)
  createAuditMetrics(context.registry, () => audit.counts)
  const changed = changesOf(log.applied)
  if (changed !== undefined) await audit.note('streams.apply', { params: changed })
  await audit.note('process.start', { params: startFacts(config) })

  const views = has('edge') || has('commands') ? await openReadViews(context) : undefined
  const commands = has('commands') && views !== undefined ? openCommandsRole(context, log, views) : undefined
  const projections = has('projections') ? await openProjectionsRole(context) : undefined
  const edge =
    has('edge') && tokens !== undefined && views !== undefined
      ? await openEdgeRole(context, {
          log,
          views,
          viewChanges: projections?.viewChanges,
          ...(commands ?? openRemoteBus(context, log)),
          tokens,
          devSecret: keys?.devSecret,
          readiness: life.readiness,
        })
      : undefined
  const server: HttpListener = edge ?? (await openStatusServer(context, life.readiness))
  const readiness = edge?.readiness ?? life.readiness
  context.admin.add('GET', '/v1/admin/configuration', { action: 'configuration.read' }, () =>
    shownConfig(config),
  )
  if (config.adminPort !== 'off' && tokens !== undefined) {
    const history = new StateHistory({
      nats: system.nats,
      definitions: loadStreams({ replicas: config.natsReplicas }),
      audit: auditStreamOf(system.nats, config),
    })
    life.onStop('state history', () => history.stop(), ['nats'])
    // A page that is open reads the state every few seconds.
    context.admin.add('GET', '/v1/admin/state', { action: 'state.read', repeatMs: 3_600_000 }, () =>
      history.now(),
    )
  }
  const adminUrl = await openAdminServer(context, { readiness, tokens: edge?.tokens ?? tokens })

  // Last, so that every component above receives the feed from its start.
  if (views !== undefined) await log.feed.start()
  if (commands !== undefined) {
    await prepare?.({ bus: commands.bus, feed: log.feed, isEmbedded: system.isEmbedded })
    await commands.serve()
  }
  isPrepared = true
  startBackups(context)
  return { url: urlOf(server), adminUrl, failed: failed.promise, stop: life.stop }
}
