import { existsSync } from 'node:fs'
import { Argument, type Command, InvalidArgumentError } from 'commander'
import type { OpenNats } from '../../app/open-nats.ts'
import { isInFile, viewDatabases, viewDatabasesOf } from '../../app/open-views.ts'
import type { ConfabConfig } from '../../infra/config/index.ts'
import { discoverLog, NatsEventSource, openNatsPlans } from '../../infra/nats/index.ts'
import {
  type PlanStore,
  type ProjectionName,
  type ProjectionPlan,
  projectionNames,
  type ViewStores,
} from '../../projections/index.ts'
import { CliError } from '../command/cli-error.ts'
import type { RecordedSystem } from '../command/command-effect.ts'
import { addSystemOptions, configOf, openExisting, type SystemFlags } from '../command/config-flags.ts'

/** The connections and stores of a command about projections. */
export interface Operation extends RecordedSystem {
  readonly plans: PlanStore
  readonly source: NatsEventSource
  /** Opens the database that holds a view, as the configuration names it. Throws CliError when it does not exist. */
  stores(projection: ProjectionName): Promise<ViewStores>
}

/** Runs `work` on a connected system, and closes the databases that it opened. */
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
        `${config.data} holds no views: start a server with the role "projections" on it`,
      )
    const [database] = viewDatabases(where, projection)
    if (database === undefined)
      throw new CliError(
        'NOT_READY',
        `the configuration names no database for ${projection}: see docs/configuration.md`,
      )
    const stores = await database.open()
    opened.push(stores)
    return stores
  }
  try {
    const plans = await openNatsPlans(nats, { replicas: config.natsReplicas })
    return await work({ config, nats, plans, source, stores: openStores })
  } finally {
    for (const stores of opened) await stores.close()
    source.close()
  }
}

/** Runs `work` on the system that the flags of a command name. */
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

/** Changes the plan of a view. Throws CliError for a view without a plan, and PlanError. */
export const changePlan = async (
  { plans }: Operation,
  projection: ProjectionName,
  change: (plan: ProjectionPlan) => ProjectionPlan,
): Promise<ProjectionPlan> => {
  const changed = await plans.update(projection, plan => {
    if (plan === undefined)
      throw new CliError(
        'NOT_READY',
        `the view ${projection} does not exist yet: start a server with the role "projections"`,
      )
    return change(plan)
  })
  return changed as ProjectionPlan
}

export const planOf = (operation: Operation, projection: ProjectionName): Promise<ProjectionPlan> =>
  changePlan(operation, projection, plan => plan)

/** The object of an action about a projection, or one of its generations, in an audit record. */
export const targetOf = (projection: ProjectionName, generation?: number): { readonly target: string } => ({
  target: `projection:${projection}${generation === undefined ? '' : `/${generation}`}`,
})

/** Parses the number of a generation. */
export const generationNumber = (value: string): number => {
  const number = Number(value)
  if (!Number.isInteger(number) || number < 1)
    throw new InvalidArgumentError('Give the number of a generation, as "confab projections ls" shows it.')
  return number
}

/** Adds the argument and flags of a command about one projection. */
export const projectionArgument = (command: Command): Command =>
  addSystemOptions(
    command.addArgument(new Argument('<projection>', 'Name of the projection').choices(projectionNames)),
  )
