import { openNatsPlans } from '../infra/nats/index.ts'
import {
  liveGenerations,
  type ProjectionName,
  type ProjectionPlan,
  projectionNames,
  type Views,
} from '../projections/index.ts'
import type { ProcessContext } from './lifecycle.ts'
import { isInFile, openViews, viewDatabasesOf } from './view-databases.ts'

/** The views that this process reads: of each, the generation that its plan calls live, from one moment to the next. */
export const openReadViews = async (context: ProcessContext): Promise<Views> => {
  const { config, logger, system, onStop } = context
  const plans = await openNatsPlans(system.nats, { replicas: config.natsReplicas })
  const known = new Map<ProjectionName, ProjectionPlan>()
  let views: Awaited<ReturnType<typeof openViews>> | undefined
  const unwatch = await plans.watch((projection, plan) => {
    const isOther = (known.get(projection)?.live ?? 1) !== plan.live
    known.set(projection, plan)
    if (!isOther || views === undefined) return
    views.use(liveGenerations(known)).then(
      () => logger.info({ projection, generation: plan.live }, 'queries switched to another generation'),
      error => logger.error({ err: error, projection, generation: plan.live }, 'a generation cannot be read'),
    )
  })
  onStop('plans', unwatch)
  const where = viewDatabasesOf(config)
  const inFile = projectionNames.filter(name => isInFile(where, name))
  // Who decides has the log to look into as well.
  if (inFile.length > 0 && config.roles.includes('edge') && !config.roles.includes('projections'))
    logger.warn(
      { file: where.file, views: inFile },
      'these views are read from a file, which stays empty unless a process with the role projections runs on the same data folder',
    )
  const opened = await openViews(where, liveGenerations(known))
  views = opened
  onStop('views', opened.close)
  return opened
}
