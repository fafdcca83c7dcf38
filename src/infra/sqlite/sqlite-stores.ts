import type { DatabaseSync } from 'node:sqlite'
import {
  type ProjectionName,
  projectionNames,
  type StoreByProjection,
  type ViewStores,
} from '../../projections/index.ts'
import { sqliteCheckpointStore } from './checkpoint-store.ts'
import { coded, openWriter } from './database.ts'
import { sqliteInboxStore } from './inbox-store.ts'
import { sqliteReadStateStore, sqliteRosterStore } from './roster.ts'
import { sqliteSearchIndex } from './search-index.ts'
import { sqliteTimelineStore } from './timeline-store.ts'
import { createTables, dropTables, hasTables } from './view-tables.ts'

const storeOf: {
  readonly [P in ProjectionName]: (db: DatabaseSync, generation: number) => StoreByProjection[P]
} = {
  timeline: sqliteTimelineStore,
  inbox: sqliteInboxStore,
  'read-state': sqliteReadStateStore,
  roster: sqliteRosterStore,
  search: sqliteSearchIndex,
}

/**
 * Stores all views in one database file over one connection; transactions run one at a time. Writes block their
 * thread, so run it on a worker thread. Throws as `openWriter` does.
 */
export const openSqliteStores = (path: string): ViewStores => {
  const db = openWriter(path)
  let turn: Promise<void> = Promise.resolve()
  const transaction = async (work: () => Promise<void>): Promise<void> => {
    coded(() => db.exec('BEGIN IMMEDIATE'))
    try {
      await work()
      coded(() => db.exec('COMMIT'))
    } catch (error) {
      // A full disk has rolled the transaction back already.
      if (db.isTransaction) db.exec('ROLLBACK')
      throw error
    }
  }
  const checkpoints = sqliteCheckpointStore(db)
  const atomically: ViewStores['atomically'] = work => {
    const done = turn.then(() => transaction(work))
    turn = done.catch(() => {})
    return done
  }
  return {
    name: 'sqlite',
    projections: projectionNames,
    async open(projection, generation) {
      if (!hasTables(db, projection, generation))
        await atomically(async () => {
          if (!hasTables(db, projection, generation)) db.exec(createTables(projection, generation))
        })
      return coded(() => storeOf[projection](db, generation))
    },
    drop: (projection, generation) =>
      atomically(async () => {
        coded(() => dropTables(db, projection, generation))
        await checkpoints.remove(projection, generation)
      }),
    checkpoints,
    atomically,
    close: async () => {
      await turn
      if (db.isOpen) db.close()
    },
  }
}
