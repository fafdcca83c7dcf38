import type { ConfabConfig } from './infra/config/index.ts'
import { openSqliteStores, openSqliteViews } from './infra/sqlite/index.ts'
import { type Generations, projectionNames, type SwitchableViews } from './projections/index.ts'
import type { DatabaseToFeed } from './view-feeder.ts'
import { viewsFile } from './views-file.ts'

/** Where views are kept. Plain data: it is handed to threads. */
export interface ViewDatabases {
  /** The database file of those views that are kept nowhere else; made when it is not there. */
  readonly file: string
}

/** Where this configuration keeps views. */
export const viewDatabasesOf = ({ data }: ConfabConfig): ViewDatabases => ({ file: viewsFile(data) })

/** The databases that views are written to. The file is opened at once: throws ConfabError where it can't be used. */
export const viewDatabases = ({ file }: ViewDatabases): readonly DatabaseToFeed[] => {
  const stores = openSqliteStores(file)
  return [{ name: stores.name, projections: projectionNames, isShared: false, open: async () => stores }]
}

/** Opens the views for reading. Throws ConfabError where a database can't be used. */
export const openViews = async (
  { file }: ViewDatabases,
  generations: Generations = {},
): Promise<SwitchableViews & { close(): Promise<void> }> => {
  const views = openSqliteViews(file, generations)
  return { ...views, close: async () => views.close() }
}
