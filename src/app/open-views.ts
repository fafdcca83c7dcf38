import { join } from 'node:path'
import type { CassandraOptions } from '../infra/cassandra/index.ts'
import type { ConfabConfig } from '../infra/config/index.ts'
import type { ElasticsearchOptions } from '../infra/elasticsearch/index.ts'
import { openNatsPlans } from '../infra/nats/index.ts'
import { openSqliteReader, openSqliteStores } from '../infra/sqlite/index.ts'
import {
  type Generations,
  liveGenerations,
  type ProjectionName,
  type ProjectionPlan,
  projectionNames,
  type SwitchableViews,
  switchableViews,
  type Views,
} from '../projections/index.ts'
import type { ProcessContext } from './lifecycle.ts'
import type { ViewDatabase } from './view-worker.ts'

/** The databases that hold the views. Plain data: threads receive a copy. */
export interface ViewDatabaseOptions {
  /** SQLite file of the views that are in no other database. Created when missing. */
  readonly file: string
  /** Holds timeline, inbox, read state and roster, where it is configured. */
  readonly cassandra?: CassandraOptions | undefined
  /** Holds the search view, where it is configured. */
  readonly elasticsearch?: ElasticsearchOptions | undefined
}

/** The view databases of a configuration. */
export const viewDatabasesOf = ({ data, cassandra, elasticsearch }: ConfabConfig): ViewDatabaseOptions => {
  const { contactPoints } = cassandra
  const { nodes } = elasticsearch
  return {
    file: viewsFile(data),
    cassandra: contactPoints === undefined ? undefined : { ...cassandra, contactPoints },
    elasticsearch: nodes === undefined ? undefined : { ...elasticsearch, nodes },
  }
}

// Drivers are loaded on demand: each takes a while.
const loadCassandra = () => import('../infra/cassandra/index.ts')
const loadElasticsearch = () => import('../infra/elasticsearch/index.ts')

const inCassandra: readonly ProjectionName[] = ['timeline', 'inbox', 'read-state', 'roster']
const inElasticsearch: readonly ProjectionName[] = ['search']

const inFile = ({ cassandra, elasticsearch }: ViewDatabaseOptions): readonly ProjectionName[] => {
  const others = [...(cassandra ? inCassandra : []), ...(elasticsearch ? inElasticsearch : [])]
  return projectionNames.filter(name => !others.includes(name))
}

/** Whether a view is in the SQLite file. */
export const isInFile = (options: ViewDatabaseOptions, projection: ProjectionName): boolean =>
  inFile(options).includes(projection)

/**
 * The databases that projections write, or only the database of one view. The SQLite file is opened at once; the others
 * open on demand. Throws ConfabError when the file cannot be used.
 */
export const viewDatabases = (
  options: ViewDatabaseOptions,
  only?: ProjectionName,
): readonly ViewDatabase[] => {
  const { file, cassandra, elasticsearch } = options
  const databases: ViewDatabase[] = []
  const projections = inFile(options)
  const isIncluded = (names: readonly ProjectionName[]): boolean =>
    only === undefined ? names.length > 0 : names.includes(only)
  if (isIncluded(projections)) {
    const stores = { ...openSqliteStores(file), projections }
    databases.push({ name: stores.name, projections, isShared: false, open: async () => stores })
  }
  if (cassandra !== undefined && isIncluded(inCassandra))
    databases.push({
      name: 'cassandra',
      projections: inCassandra,
      isShared: true,
      open: async () => (await (await loadCassandra()).openCassandra(cassandra)).stores,
    })
  if (elasticsearch !== undefined && isIncluded(inElasticsearch))
    databases.push({
      name: 'elasticsearch',
      projections: inElasticsearch,
      isShared: true,
      open: async () => (await loadElasticsearch()).openElasticsearch(elasticsearch).stores,
    })
  return databases
}

/** The views of one database, at given generations. */
type ViewsAt = (generations: Generations) => Partial<Views> & Pick<Views, 'positions'>

/**
 * Opens the views for reading. Rejects with ConfabError or CassandraError when a database cannot be used; an
 * Elasticsearch that cannot be reached does not reject.
 */
export const openViews = async (
  options: ViewDatabaseOptions,
  generations: Generations = {},
): Promise<SwitchableViews & { close(): Promise<void> }> => {
  const { file, cassandra, elasticsearch } = options
  const closing: (() => Promise<void>)[] = []
  const close = async () => {
    await Promise.all(closing.map(closeOne => closeOne()))
  }
  const databaseOf = new Map<ProjectionName, ViewsAt>()
  const add = (names: readonly ProjectionName[], viewsAt: ViewsAt) => {
    for (const name of names) databaseOf.set(name, viewsAt)
  }
  try {
    const names = inFile(options)
    if (names.length > 0) {
      const reader = openSqliteReader(file)
      closing.push(async () => reader.close())
      add(names, reader.viewsAt)
    }
    if (elasticsearch !== undefined) {
      const search = (await loadElasticsearch()).openElasticsearch(elasticsearch)
      closing.push(search.close)
      add(inElasticsearch, next => ({
        search: search.searchAt(next),
        positions: () => search.positions(next.search ?? 1),
      }))
    }
    if (cassandra !== undefined) {
      const opened = await (await loadCassandra()).openCassandra(cassandra)
      closing.push(opened.close)
      add(inCassandra, opened.viewsAt)
    }
    const at = (next: Generations): Views => {
      const opened = new Map([...new Set(databaseOf.values())].map(viewsAt => [viewsAt, viewsAt(next)]))
      const of = (name: ProjectionName) => opened.get(databaseOf.get(name) as ViewsAt) as Views
      return {
        timeline: of('timeline').timeline,
        inbox: of('inbox').inbox,
        roster: of('roster').roster,
        search: of('search').search,
        positions: name => of(name).positions(name),
      }
    }
    return { ...switchableViews(at, generations), close }
  } catch (error) {
    await close()
    throw error
  }
}

/** Path of the SQLite file of a data folder's views. */
export const viewsFile = (data: string): string => join(data, 'views', 'views.sqlite')

/** Opens the views that this process reads: of each view its live generation, switched whenever the plan changes. */
export const openReadViews = async (context: ProcessContext): Promise<Views> => {
  const { config, logger, system, onStop } = context
  const plans = await openNatsPlans(system.nats, { replicas: config.natsReplicas })
  const known = new Map<ProjectionName, ProjectionPlan>()
  let views: Awaited<ReturnType<typeof openViews>> | undefined
  const unwatch = await plans.watch((projection, plan) => {
    const isSwitch = (known.get(projection)?.live ?? 1) !== plan.live
    known.set(projection, plan)
    if (!isSwitch || views === undefined) return
    views.use(liveGenerations(known)).then(
      () => logger.info({ projection, generation: plan.live }, 'queries switched to another generation'),
      error => logger.error({ err: error, projection, generation: plan.live }, 'generation cannot be read'),
    )
  })
  onStop('plans', unwatch, ['nats', 'views'])
  const options = viewDatabasesOf(config)
  const inFile = projectionNames.filter(name => isInFile(options, name))
  // A commands node without the role edge reads the log instead of an empty file.
  if (inFile.length > 0 && config.roles.includes('edge') && !config.roles.includes('projections'))
    logger.warn(
      { file: options.file, views: inFile },
      'views are read from a file that stays empty unless a process with the role projections runs on this data folder',
    )
  const opened = await openViews(options, liveGenerations(known))
  views = opened
  onStop('views', opened.close)
  return opened
}
