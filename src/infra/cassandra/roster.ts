import type { Role } from '../../events/index.ts'
import {
  decodeCursor,
  encodeCursor,
  type ReadStateStore,
  type RosterItem,
  type RosterQueries,
  type RosterStore,
} from '../../projections/index.ts'
import { type Database, numberOf, type Row, type Write } from './database.ts'
import { allRows, emptyTables, type PositionsQuery } from './generations.ts'
import { tablesOf } from './view-tables.ts'

/** The role of a former member. A delete would leave a tombstone, which is eventually forgotten. */
export const noRole = ''

/** Writes two rows per member: by conversation and by user. */
export const cassandraRosterStore = (database: Database, generation: number): RosterStore => {
  const { roster, rosterUser } = tablesOf(generation)
  const set = `UPDATE ${roster} USING TIMESTAMP ? SET role = ? WHERE c = ? AND user = ?`
  const setUser = `UPDATE ${rosterUser} USING TIMESTAMP ? SET member = ?, invited = ? WHERE user = ? AND c = ?`
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
                  { query: set, values: [change.role ?? noRole] },
                  { query: setUser, values: [change.role !== null, change.isInvited === true] },
                ]
              : [
                  { query: follow, values: [change.follows] },
                  { query: followUser, values: [change.follows] },
                ]
          return [
            { query: ofC.query, params: [seq, ...ofC.values, c, user], partition: `c ${c}` },
            { query: ofUser.query, params: [seq, ...ofUser.values, user, c], partition: `u ${user}` },
          ]
        }),
      )
    },
    clear: () => emptyTables(database, 'roster', generation),
    rows: () =>
      allRows(database, [
        { name: roster, columns: 'c, user, role, follows' },
        { name: rosterUser, columns: 'c, user, member, follows, invited' },
      ]),
  }
}

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

/** Minimum number of rows per read where some rows belong to former members. */
const leastRows = 100

/** A user that only follows a channel has no role. */
const isMember = (row: Row): boolean => typeof row.role === 'string' && row.role !== noRole

/** Lists members by user id, with their markers; a read message counts as delivered. */
export const cassandraRosterQueries = (
  database: Database,
  generations: { readonly roster: number; readonly readState: number },
  positions: PositionsQuery,
): RosterQueries => {
  const { roster, rosterUser } = tablesOf(generations.roster)
  const { readState } = tablesOf(generations.readState)
  const selectOf = `SELECT c, member, follows FROM ${rosterUser} WHERE user = ?`
  const selectInvited = `SELECT c, invited FROM ${rosterUser} WHERE user = ? AND c > ?`
  const selectMembers = `SELECT user, role, follows FROM ${roster} WHERE c = ? AND user > ?`
  const selectMarks = `SELECT user, read, delivered FROM ${readState} WHERE c = ? AND user IN ?`

  const membersAfter = async (c: string, after: string, most: number): Promise<Row[]> => {
    const found: Row[] = []
    for await (const rows of database.pages(selectMembers, [c, after], Math.max(most, leastRows))) {
      for (const row of rows) if (isMember(row) || row.follows === true) found.push(row)
      if (found.length >= most) break
    }
    return found.slice(0, most)
  }
  const withMarks = (row: Row, marks: Row | undefined): RosterItem => {
    const read = numberOf(marks?.read)
    const delivered = Math.max(read, numberOf(marks?.delivered))
    return {
      user: String(row.user),
      role: isMember(row) ? (row.role as Role) : 'member',
      ...(row.follows === true ? { follows: true as const } : {}),
      ...(read > 0 ? { read } : {}),
      ...(delivered > 0 ? { delivered } : {}),
    }
  }

  return {
    async conversationsOf(user) {
      // Read the positions first: the rows are then as of them, or newer.
      const reached = await positions('roster', generations.roster)
      const conversations: string[] = []
      for await (const rows of database.pages(selectOf, [user]))
        for (const { c, member, follows } of rows)
          if (member === true || follows === true) conversations.push(String(c))
      return { conversations, positions: reached }
    },
    async invitationsOf(user, { limit, cursor }) {
      const [after = ''] = cursor === undefined ? [] : decodeCursor(cursor, 1)
      const found: string[] = []
      for await (const rows of database.pages(selectInvited, [user, after], Math.max(limit + 1, leastRows))) {
        for (const { c, invited } of rows) if (invited === true) found.push(String(c))
        if (found.length > limit) break
      }
      const conversations = found.slice(0, limit)
      const last = conversations.at(-1)
      return {
        conversations,
        ...(found.length > limit && last !== undefined ? { cursor: encodeCursor([last]) } : {}),
      }
    },
    async members(c, { limit, cursor }) {
      const [after = ''] = cursor === undefined ? [] : decodeCursor(cursor, 1)
      const rows = await membersAfter(c, after, limit + 1)
      const page = rows.slice(0, limit)
      const last = page.at(-1)
      const users = page.map(({ user }) => String(user))
      const marks = users.length === 0 ? [] : await database.read(selectMarks, [c, users])
      const byUser = new Map(marks.map(row => [String(row.user), row]))
      return {
        members: page.map(row => withMarks(row, byUser.get(String(row.user)))),
        ...(rows.length > limit && last !== undefined ? { cursor: encodeCursor([String(last.user)]) } : {}),
      }
    },
  }
}
