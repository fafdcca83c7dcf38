import { existsSync } from 'node:fs'
import { Argument, type Command } from 'commander'
import type { OpenNats } from '../../app/open-nats.ts'
import { isInFile, viewDatabases, viewDatabasesOf } from '../../app/open-views.ts'
import type { ConfabConfig } from '../../infra/config/index.ts'
import { discoverLog, type Nats, NatsEventSource, openNatsPlans } from '../../infra/nats/index.ts'
import {
  type PlanStore,
  type ProjectionName,
  type ProjectionPlan,
  projectionNames,
  type ViewStores,
} from '../../projections/index.ts'
import { CliError } from '../command/cli-error.ts'
import { addSystemOptions, configOf, openExisting, type SystemFlags } from '../command/system-options.ts'

/** What commands about projections work with. */
export interface Operation {
  readonly nats: Nats
  readonly plans: PlanStore
  readonly source: NatsEventSource
  /** The database that holds a view, opened by the configuration of this command. Throws CliError where there is none. */
  stores(projection: ProjectionName): Promise<ViewStores>
}

/** Runs `work` on a system that is open; what it opened is closed. */
export const operateOn = async <T>(
  config: ConfabConfig,
  { nats }: Pick<OpenNats, 'nats'>,
  work: (operation: Operation) => Promise<T>,
): Promise<T> => {
  const source = new NatsEventSource(nats, await discoverLog(nats.connection))
  const opened: ViewStores[] = []
  const openStores = async (projection: ProjectionName): Promise<ViewStores> => {
    const found = opened.find(({ projections }) => projections.includes(projection))
    if (found !== undefined) return found
    const where = viewDatabasesOf(config)
    if (isInFile(where, projection) && !existsSync(where.file))
      throw new CliError(
        'NOT_READY',
        `${config.data} holds no views: nothing has run there with the role "projections"`,
      )
    const [database] = viewDatabases(where, projection)
    if (database === undefined)
      throw new CliError('NOT_READY', `the configuration has no database for ${projection}`)
    const stores = await database.open()
    opened.push(stores)
    return stores
  }
  try {
    const plans = await openNatsPlans(nats, { replicas: config.natsReplicas })
    return await work({ nats, plans, source, stores: openStores })
  } finally {
    for (const stores of opened) await stores.close()
    source.close()
  }
}

/** Runs `work` on the system that a command's flags name. */
export const operate = async <T>(
  flags: SystemFlags,
  work: (operation: Operation) => Promise<T>,
): Promise<T> => {
  const config = configOf(flags)
  const system = await openExisting(config, 'confab-projections')
  try {
    return await operateOn(config, system, work)
  } finally {
    await system.close()
  }
}

/** Changes a plan. Throws CliError where nothing has built the view yet; PlanError. */
export const changePlan = async (
  { plans }: Operation,
  projection: ProjectionName,
  change: (plan: ProjectionPlan) => ProjectionPlan,
): Promise<ProjectionPlan> => {
  const changed = await plans.update(projection, plan => {
    if (plan === undefined)
      throw new CliError(
        'NOT_READY',
        `nothing has built ${projection} yet: start a server with the role "projections"`,
      )
    return change(plan)
  })
  return changed as ProjectionPlan
}

export const planOf = (operation: Operation, projection: ProjectionName): Promise<ProjectionPlan> =>
  changePlan(operation, projection, plan => plan)

/** A command about one projection. */
export const projectionArgument = (command: Command): Command =>
  addSystemOptions(command.addArgument(new Argument('<projection>', 'which').choices(projectionNames)))
