import type { DatabaseSync } from 'node:sqlite'
import type { ReadStateStore } from '../../projections/index.ts'
import { coded } from './sqlite-errors.ts'
import { rowsOf, tablesOf } from './view-tables.ts'

/** The roster queries join these rows. */
export const sqliteReadStateStore = (db: DatabaseSync, generation: number): ReadStateStore => {
  const { readState } = tablesOf(generation)
  const upsert = (column: 'read' | 'delivered') =>
    db.prepare(`
      INSERT INTO ${readState} (c, user, ${column}) VALUES (?, ?, ?)
      ON CONFLICT DO UPDATE SET ${column} = excluded.${column} WHERE excluded.${column} > ${column}`)
  const marks = { read: upsert('read'), delivered: upsert('delivered') }
  return {
    apply: async changes =>
      coded(() => {
        for (const { of, c, user, mark } of changes) marks[of].run(c, user, mark)
      }),
    clear: async () => coded(() => db.exec(`DELETE FROM ${readState}`)),
    rows: () => rowsOf(db, readState, ['c', 'user'], '*'),
  }
}
