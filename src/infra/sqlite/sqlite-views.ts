import type { DatabaseSync } from 'node:sqlite'
import {
  type Generations,
  type ProjectionName,
  projectionNames,
  type SwitchableViews,
  switchableViews,
  type Views,
} from '../../projections/index.ts'
import { openReader, openWriter } from './database.ts'
import { sqliteInboxQueries } from './inbox-queries.ts'
import { sqlitePositions } from './positions-query.ts'
import { sqliteRosterQueries } from './roster-store.ts'
import { sqliteSearchQueries } from './search-queries.ts'
import { coded } from './sqlite-errors.ts'
import { sqliteTimelineQueries } from './timeline-store.ts'
import { createTables, hasTables } from './view-tables.ts'

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

/** A generation that nobody has begun to build yet is empty. */
const makeMissing = (db: DatabaseSync, path: string, generations: Generations): void => {
  const missing = projectionNames.filter(name => !hasTables(db, name, generations[name] ?? 1))
  if (missing.length === 0) return
  const writer = openWriter(path)
  try {
    writer.exec('BEGIN IMMEDIATE')
    for (const name of missing)
      if (!hasTables(writer, name, generations[name] ?? 1))
        writer.exec(createTables(name, generations[name] ?? 1))
    writer.exec('COMMIT')
  } finally {
    writer.close()
  }
}

/** A database file, open for reading. */
export interface SqliteReader {
  /** Readers of these generations; those that are not there yet are made, empty. */
  viewsAt(generations: Generations): Views
  close(): void
}

/**
 * The views in a database file that a writer keeps, here or in another thread. Read-only; a query sees whole transactions. Queries run at once on the calling
 * thread and take well under a millisecond, a search some. They reject with ConfabError UNAVAILABLE when the file can't be read.
 */
export const openSqliteReader = (path: string): SqliteReader => {
  const db = openReader(path)
  return {
    viewsAt: generations =>
      coded(() => {
        makeMissing(db, path, generations)
        return viewsAt(db, generations)
      }),
    close: () => db.close(),
  }
}

/** As `openSqliteReader`, with the views at some generations, to begin with. */
export const openSqliteViews = (
  path: string,
  generations: Generations = {},
): SwitchableViews & { close(): void } => {
  const { viewsAt, close } = openSqliteReader(path)
  try {
    return { ...switchableViews(viewsAt, generations), close }
  } catch (error) {
    close()
    throw error
  }
}
