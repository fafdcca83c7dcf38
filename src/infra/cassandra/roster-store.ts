import type { RosterStore } from '../../projections/index.ts'
import { allRows } from './all-rows.ts'
import type { Database, Write } from './database.ts'
import { emptyTables } from './generations.ts'
import { tablesOf } from './view-tables.ts'

/** Who is gone has this for a role: a delete would leave a tombstone, and be forgotten in time. */
export const noRole = ''

/** Two rows a member: by conversation, and by user. */
export const cassandraRosterStore = (database: Database, generation: number): RosterStore => {
  const { roster, rosterUser } = tablesOf(generation)
  const set = `UPDATE ${roster} USING TIMESTAMP ? SET role = ? WHERE c = ? AND user = ?`
  const setUser = `UPDATE ${rosterUser} USING TIMESTAMP ? SET member = ? WHERE user = ? AND c = ?`
  return {
    async apply(changes) {
      const newest = new Map<string, (typeof changes)[number]>()
      for (const change of changes) {
        const key = `${change.c} ${change.user}`
        const other = newest.get(key)
        if (other === undefined || change.seq > other.seq) newest.set(key, change)
      }
      await database.write(
        [...newest.values()].flatMap(({ c, user, seq, role }): Write[] => [
          { query: set, params: [seq, role ?? noRole, c, user], partition: `c ${c}` },
          { query: setUser, params: [seq, role !== null, user, c], partition: `u ${user}` },
        ]),
      )
    },
    clear: () => emptyTables(database, 'roster', generation),
    rows: () =>
      allRows(database, [
        { name: roster, columns: 'c, user, role' },
        { name: rosterUser, columns: 'c, user, member' },
      ]),
  }
}
