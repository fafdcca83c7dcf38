import { createProjectionMetrics } from './infra/telemetry/index.ts'
import type { ProcessContext } from './process-context.ts'
import { startProjectionsThread } from './projections-thread.ts'
import { viewsFile } from './views-file.ts'

/** The role `projections`: builds the views, on a thread of their own. The streams have been applied. */
export const openProjectionsSide = async (context: ProcessContext): Promise<void> => {
  const { config, logger, system, registry, onStop, onFailure, readyWhen } = context
  const projections = await startProjectionsThread({
    natsServers: system.servers,
    viewsFile: viewsFile(config.data),
    log: logger,
    onFailure,
  })
  onStop(() => projections.stop())
  readyWhen('projections', () =>
    projections.status().every(({ state }) => state === 'live' || state === 'catching-up'),
  )
  createProjectionMetrics(registry, projections.status)
}
