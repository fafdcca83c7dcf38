import type { ViewStores } from '../../projections/index.ts'
import { sqliteCheckpointStore } from './checkpoint-store.ts'
import { openWriter } from './database.ts'
import { sqliteInboxStore } from './inbox-store.ts'
import { sqliteReadStateStore } from './read-state-store.ts'
import { sqliteRosterStore } from './roster-store.ts'
import { sqliteSearchIndex } from './search-index.ts'
import { coded } from './sqlite-errors.ts'
import { sqliteTimelineStore } from './timeline-store.ts'

/**
 * All views in one database file, on one connection: transactions run one after the other, whoever asks for them. It blocks its thread while it writes, so it
 * belongs on a worker. Throws as `openWriter` does.
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
      // A full disk has ended the transaction already.
      if (db.isTransaction) db.exec('ROLLBACK')
      throw error
    }
  }
  return {
    timeline: sqliteTimelineStore(db),
    inbox: sqliteInboxStore(db),
    readState: sqliteReadStateStore(db),
    roster: sqliteRosterStore(db),
    search: sqliteSearchIndex(db),
    checkpoints: sqliteCheckpointStore(db),
    atomically(work) {
      const done = turn.then(() => transaction(work))
      turn = done.catch(() => {})
      return done
    },
    close: async () => {
      await turn
      if (db.isOpen) db.close()
    },
  }
}
