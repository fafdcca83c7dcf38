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
import type { DatabaseToFeed } from './view-feeder.ts'

/** Where views are kept. Plain data: it is handed to threads. */
export interface ViewDatabases {
  /** The database file of those views that are kept nowhere else; made when it is not there. */
  readonly file: string
  /** Where timeline, inbox, read state and roster are, if not in the file. */
  readonly cassandra?: CassandraOptions | undefined
  /** Where the search is, if not in the file. */
  readonly elasticsearch?: ElasticsearchOptions | undefined
}

/** Where this configuration keeps views. */
export const viewDatabasesOf = ({ data, cassandra, elasticsearch }: ConfabConfig): ViewDatabases => {
  const { contactPoints } = cassandra
  const { nodes } = elasticsearch
  return {
    file: viewsFile(data),
    cassandra: contactPoints === undefined ? undefined : { ...cassandra, contactPoints },
    elasticsearch: nodes === undefined ? undefined : { ...elasticsearch, nodes },
  }
}

// Drivers are loaded where they are used: each takes a while.
const loadCassandra = () => import('../infra/cassandra/index.ts')
const loadElasticsearch = () => import('../infra/elasticsearch/index.ts')

const inCassandra: readonly ProjectionName[] = ['timeline', 'inbox', 'read-state', 'roster']
const inElasticsearch: readonly ProjectionName[] = ['search']

const inFile = ({ cassandra, elasticsearch }: ViewDatabases): readonly ProjectionName[] => {
  const elsewhere = [...(cassandra ? inCassandra : []), ...(elasticsearch ? inElasticsearch : [])]
  return projectionNames.filter(name => !elsewhere.includes(name))
}

/** Whether a view is kept in the file. */
export const isInFile = (where: ViewDatabases, projection: ProjectionName): boolean =>
  inFile(where).includes(projection)

/**
 * The databases that views are written to, or the one of a single view. The file, where it is among them, is opened at once: throws ConfabError where it can't be
 * used.
 */
export const viewDatabases = (where: ViewDatabases, only?: ProjectionName): readonly DatabaseToFeed[] => {
  const { file, cassandra, elasticsearch } = where
  const databases: DatabaseToFeed[] = []
  const projections = inFile(where)
  const isWanted = (names: readonly ProjectionName[]): boolean =>
    only === undefined ? names.length > 0 : names.includes(only)
  if (isWanted(projections)) {
    const stores = { ...openSqliteStores(file), projections }
    databases.push({ name: stores.name, projections, isShared: false, open: async () => stores })
  }
  if (cassandra !== undefined && isWanted(inCassandra))
    databases.push({
      name: 'cassandra',
      projections: inCassandra,
      isShared: true,
      open: async () => (await (await loadCassandra()).openCassandra(cassandra)).stores,
    })
  if (elasticsearch !== undefined && isWanted(inElasticsearch))
    databases.push({
      name: 'elasticsearch',
      projections: inElasticsearch,
      isShared: true,
      open: async () => (await loadElasticsearch()).openElasticsearch(elasticsearch).stores,
    })
  return databases
}

/** Some views, at fixed generations. */
type Part = (generations: Generations) => Partial<Views> & Pick<Views, 'positions'>

/** Opens the views for reading. Rejects with ConfabError, CassandraError where a database can't be used; the search may come later. */
export const openViews = async (
  where: ViewDatabases,
  generations: Generations = {},
): Promise<SwitchableViews & { close(): Promise<void> }> => {
  const { file, cassandra, elasticsearch } = where
  const closing: (() => Promise<void>)[] = []
  const close = async () => {
    for (const one of closing) await one()
  }
  const parts = new Map<ProjectionName, Part>()
  const add = (names: readonly ProjectionName[], part: Part) => {
    for (const name of names) parts.set(name, part)
  }
  try {
    const names = inFile(where)
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
      const made = new Map([...new Set(parts.values())].map(part => [part, part(next)]))
      const of = (name: ProjectionName) => made.get(parts.get(name) as Part) as Views
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

/** The database of the embedded views. */
export const viewsFile = (data: string): string => join(data, 'views', 'views.sqlite')

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
      () => logger.info({ projection, generation: plan.live }, 'queries read another generation'),
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
