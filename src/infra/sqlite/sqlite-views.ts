import type { Views } from '../../projections/index.ts'
import { openReader } from './database.ts'
import { sqliteInboxQueries } from './inbox-queries.ts'
import { sqlitePositions } from './positions-query.ts'
import { sqliteRosterQueries } from './roster-store.ts'
import { sqliteSearchQueries } from './search-queries.ts'
import { coded } from './sqlite-errors.ts'
import { sqliteTimelineQueries } from './timeline-store.ts'

/**
 * The views in a database file that a writer keeps, here or in another thread. Read-only; a query sees whole transactions. Queries run at once on the calling
 * thread and take well under a millisecond, a search some. They reject with ConfabError UNAVAILABLE when the file can't be read.
 */
export const openSqliteViews = (path: string): Views & { close(): void } => {
  const db = openReader(path)
  const positions = sqlitePositions(db)
  return {
    timeline: sqliteTimelineQueries(db),
    inbox: sqliteInboxQueries(db),
    roster: sqliteRosterQueries(db, positions),
    search: sqliteSearchQueries(db),
    positions: async projection => coded(() => positions(projection)),
    close: () => db.close(),
  }
}
