import type { ReadStateStore } from '../../projections/index.ts'
import { allRows } from './all-rows.ts'
import type { Database } from './database.ts'
import { emptyTables } from './generations.ts'
import { tablesOf } from './view-tables.ts'

/** Markers only grow, so the marker is its own timestamp. The roster queries join these rows. */
export const cassandraReadStateStore = (database: Database, generation: number): ReadStateStore => {
  const { readState } = tablesOf(generation)
  const set = (column: 'read' | 'delivered') =>
    `UPDATE ${readState} USING TIMESTAMP ? SET ${column} = ? WHERE c = ? AND user = ?`
  const queries = { read: set('read'), delivered: set('delivered') }
  return {
    async apply(changes) {
      const greatest = new Map<string, (typeof changes)[number]>()
      for (const change of changes) {
        const key = `${change.of} ${change.c} ${change.user}`
        const other = greatest.get(key)
        if (other === undefined || change.mark > other.mark) greatest.set(key, change)
      }
      await database.write(
        [...greatest.values()].map(({ of, c, user, mark }) => ({
          query: queries[of],
          params: [mark, mark, c, user],
          partition: c,
        })),
      )
    },
    clear: () => emptyTables(database, 'read-state', generation),
    rows: () => allRows(database, [{ name: readState, columns: 'c, user, read, delivered' }]),
  }
}
