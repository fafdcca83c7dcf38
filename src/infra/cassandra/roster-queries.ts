import type { Role } from '../../events/index.ts'
import { decodeCursor, encodeCursor, type RosterItem, type RosterQueries } from '../../projections/index.ts'
import { type Database, numberOf, type Row } from './database.ts'
import type { PositionsQuery } from './positions-query.ts'
import { noRole } from './roster-store.ts'
import { tablesOf } from './view-tables.ts'

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
