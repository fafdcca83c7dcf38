import type { ConfabConfig } from './infra/config/index.ts'
import { openSqliteStores, openSqliteViews } from './infra/sqlite/index.ts'
import type { Generations, SwitchableViews, ViewStores } from './projections/index.ts'
import { viewsFile } from './views-file.ts'

/** Where views are kept. Plain data: it is handed to threads. */
export interface ViewDatabases {
  /** The database file of those views that are kept nowhere else; made when it is not there. */
  readonly file: string
}

/** Where this configuration keeps views. */
export const viewDatabasesOf = ({ data }: ConfabConfig): ViewDatabases => ({ file: viewsFile(data) })

/** A database to write views to. */
export interface ViewDatabase {
  readonly stores: ViewStores
  /** Whether workers on several machines may share it, a stream each. */
  readonly isShared: boolean
}

/** Opens the databases for writing. Throws ConfabError where one can't be used; none is left open then. */
export const openViewDatabases = async ({ file }: ViewDatabases): Promise<readonly ViewDatabase[]> => [
  { stores: openSqliteStores(file), isShared: false },
]

/** Opens the views for reading. Throws ConfabError where a database can't be used. */
export const openViews = async (
  { file }: ViewDatabases,
  generations: Generations = {},
): Promise<SwitchableViews & { close(): Promise<void> }> => {
  const views = openSqliteViews(file, generations)
  return { ...views, close: async () => views.close() }
}
