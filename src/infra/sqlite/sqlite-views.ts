import type { DatabaseSync } from 'node:sqlite'
import {
  type Generations,
  type ProjectionName,
  type SwitchableViews,
  switchableViews,
  type Views,
} from '../../projections/index.ts'
import { openReader } from './database.ts'
import { sqliteInboxQueries } from './inbox-queries.ts'
import { sqlitePositions } from './positions-query.ts'
import { sqliteRosterQueries } from './roster-store.ts'
import { sqliteSearchQueries } from './search-queries.ts'
import { coded } from './sqlite-errors.ts'
import { sqliteTimelineQueries } from './timeline-store.ts'

const viewsAt = (db: DatabaseSync, generations: Generations): Views => {
  const at = (projection: ProjectionName): number => generations[projection] ?? 1
  const positions = sqlitePositions(db)
  return {
    timeline: sqliteTimelineQueries(db, at('timeline')),
    inbox: sqliteInboxQueries(db, at('inbox')),
    roster: sqliteRosterQueries(db, { roster: at('roster'), readState: at('read-state') }, positions),
    search: sqliteSearchQueries(db, at('search')),
    positions: async projection => coded(() => positions(projection, at(projection))),
  }
}

/**
 * The views in a database file that a writer keeps, here or in another thread. Read-only; a query sees whole transactions. Queries run at once on the calling
 * thread and take well under a millisecond, a search some. They reject with ConfabError UNAVAILABLE when the file can't be read.
 */
export const openSqliteViews = (
  path: string,
  generations: Generations = {},
): SwitchableViews & { close(): void } => {
  const db = openReader(path)
  try {
    const views = switchableViews(next => coded(() => viewsAt(db, next)), generations)
    return { ...views, close: () => db.close() }
  } catch (error) {
    db.close()
    throw error
  }
}
