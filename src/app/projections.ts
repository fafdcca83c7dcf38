import { createProjectionMetrics } from '../infra/telemetry/index.ts'
import type { ProcessContext } from './lifecycle.ts'
import { type ProjectionsThread, startProjectionsThread } from './projections-thread.ts'
import { viewDatabasesOf } from './view-databases.ts'

/** How long the log may have no leader that answers before a process that builds views is not ready, ms. They go on by themselves when it has one. */
const lostMs = 10_000

/** The role `projections`: builds the views, on a thread of their own. The streams have been applied. */
export const openProjectionsRole = async (
  context: ProcessContext,
): Promise<Pick<ProjectionsThread, 'viewChanges'>> => {
  const { config, logger, system, registry, onStop, onFailure, readyWhen, tells } = context
  const projections = await startProjectionsThread({
    natsServers: system.servers,
    databases: viewDatabasesOf(config),
    replicas: config.natsReplicas,
    log: logger,
    onFailure,
  })
  onStop('projections', () => projections.stop())
  // A view that lags or whose database is away is told, and is no reason to send clients elsewhere.
  readyWhen('projections', () => projections.status().every(({ state }) => state !== 'stopped'))
  // By the thread's own connection: it says so also where this process has no feed of the log.
  readyWhen('projections log', () => projections.logLostForMs() <= lostMs)
  tells(() =>
    Object.fromEntries(
      projections
        .status()
        .filter(({ role }) => role === 'live')
        .map(({ projection, state }) => [`view ${projection}`, state]),
    ),
  )
  createProjectionMetrics(registry, projections.status)
  return projections
}
