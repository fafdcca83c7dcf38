import type { DatabaseSync } from 'node:sqlite'
import { TurnBudget } from '../../base/turn-budget.ts'
import {
  type Generations,
  type ProjectionName,
  projectionNames,
  type SwitchableViews,
  switchableViews,
  type Views,
} from '../../projections/index.ts'
import { sqlitePositions } from './checkpoint-store.ts'
import { coded, openReader, openWriter } from './database.ts'
import { sqliteInboxQueries } from './inbox-queries.ts'
import { sqliteRosterQueries } from './roster.ts'
import { SearchThread } from './search-thread.ts'
import { sqliteTimelineQueries } from './timeline-store.ts'
import { createTables, hasTables } from './view-tables.ts'

/**
 * Time of each turn of the event loop for queries of pages and lists, ms. One takes about 1 ms, but clients may send
 * hundreds at once.
 */
const turnMs = 5

const viewsAt = (
  db: DatabaseSync,
  { search, turns }: { search: SearchThread; turns: TurnBudget },
  generations: Generations,
): Views => {
  const at = (projection: ProjectionName): number => generations[projection] ?? 1
  const positions = sqlitePositions(db)
  const timeline = sqliteTimelineQueries(db, at('timeline'))
  const inbox = sqliteInboxQueries(db, at('inbox'))
  const roster = sqliteRosterQueries(db, { roster: at('roster'), readState: at('read-state') }, positions)
  const inTurn =
    <A extends unknown[], T>(query: (...args: A) => Promise<T>) =>
    (...args: A): Promise<T> =>
      turns.run(() => query(...args))
  return {
    timeline: { ...timeline, page: inTurn(timeline.page) },
    inbox: {
      ...inbox,
      page: inTurn(inbox.page),
      undelivered: inTurn(inbox.undelivered),
      heads: inTurn(inbox.heads),
    },
    roster: {
      conversationsOf: inTurn(roster.conversationsOf),
      members: inTurn(roster.members),
      invitationsOf: inTurn(roster.invitationsOf),
    },
    search: search.queriesAt(at('search')),
    positions: async projection => coded(() => positions(projection, at(projection))),
  }
}

/** Creates the tables of a generation that no worker has started to build: it is empty. */
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

/** A database file, opened for reading. */
export interface SqliteReader {
  /** Creates readers of these generations; missing ones are created empty. */
  viewsAt(generations: Generations): Views
  close(): void
}

/**
 * Reads the views of a database file that this or another thread writes. Read-only; a query sees whole transactions.
 * Queries run on the calling thread, mostly in well under a millisecond; searches run on a thread of their own. They
 * reject with ConfabError UNAVAILABLE when the file cannot be read.
 */
export const openSqliteReader = (path: string): SqliteReader => {
  const db = openReader(path)
  const search = new SearchThread(path)
  const turns = new TurnBudget(turnMs)
  return {
    viewsAt: generations =>
      coded(() => {
        makeMissing(db, path, generations)
        return viewsAt(db, { search, turns }, generations)
      }),
    close: () => {
      search.close()
      db.close()
    },
  }
}

/** As `openSqliteReader`, with views at the given initial generations. */
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
