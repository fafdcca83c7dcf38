import type { RosterStore } from '../../projections/index.ts'
import { allRows } from './all-rows.ts'
import type { Database, Write } from './database.ts'
import { emptyTables } from './generations.ts'
import { tablesOf } from './view-tables.ts'

/** The role of a former member. A delete would leave a tombstone, which is eventually forgotten. */
export const noRole = ''

/** Writes two rows per member: by conversation and by user. */
export const cassandraRosterStore = (database: Database, generation: number): RosterStore => {
  const { roster, rosterUser } = tablesOf(generation)
  const set = `UPDATE ${roster} USING TIMESTAMP ? SET role = ? WHERE c = ? AND user = ?`
  const setUser = `UPDATE ${rosterUser} USING TIMESTAMP ? SET member = ? WHERE user = ? AND c = ?`
  const follow = `UPDATE ${roster} USING TIMESTAMP ? SET follows = ? WHERE c = ? AND user = ?`
  const followUser = `UPDATE ${rosterUser} USING TIMESTAMP ? SET follows = ? WHERE user = ? AND c = ?`
  return {
    async apply(changes) {
      const newest = new Map<string, (typeof changes)[number]>()
      for (const change of changes) {
        const key = `${'role' in change ? 'r' : 'f'} ${change.c} ${change.user}`
        const other = newest.get(key)
        if (other === undefined || change.seq > other.seq) newest.set(key, change)
      }
      await database.write(
        [...newest.values()].flatMap((change): Write[] => {
          const { c, user, seq } = change
          const [ofC, ofUser] =
            'role' in change
              ? [
                  { query: set, value: change.role ?? noRole },
                  { query: setUser, value: change.role !== null },
                ]
              : [
                  { query: follow, value: change.follows },
                  { query: followUser, value: change.follows },
                ]
          return [
            { query: ofC.query, params: [seq, ofC.value, c, user], partition: `c ${c}` },
            { query: ofUser.query, params: [seq, ofUser.value, user, c], partition: `u ${user}` },
          ]
        }),
      )
    },
    clear: () => emptyTables(database, 'roster', generation),
    rows: () =>
      allRows(database, [
        { name: roster, columns: 'c, user, role, follows' },
        { name: rosterUser, columns: 'c, user, member, follows' },
      ]),
  }
}
