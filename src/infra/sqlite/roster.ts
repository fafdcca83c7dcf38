import type { DatabaseSync } from 'node:sqlite'
import type { Role } from '../../events/index.ts'
import {
  decodeCursor,
  encodeCursor,
  type ReadStateStore,
  type RosterQueries,
  type RosterStore,
} from '../../projections/index.ts'
import type { PositionsQuery } from './checkpoint-store.ts'
import { coded } from './database.ts'
import { rowsOf, tablesOf } from './view-tables.ts'

export const sqliteRosterStore = (db: DatabaseSync, generation: number): RosterStore => {
  const { roster } = tablesOf(generation)
  const upsert = db.prepare(`
    INSERT INTO ${roster} (c, user, seq, role, invited) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET seq = excluded.seq, role = excluded.role, invited = excluded.invited
    WHERE excluded.seq > seq`)
  const follow = db.prepare(`
    INSERT INTO ${roster} (c, user, seq, follow_seq, follows) VALUES (?, ?, 0, ?, ?)
    ON CONFLICT DO UPDATE SET follow_seq = excluded.follow_seq, follows = excluded.follows
    WHERE excluded.follow_seq > follow_seq`)
  return {
    apply: async changes =>
      coded(() => {
        for (const change of changes) {
          const { c, user, seq } = change
          if ('role' in change) upsert.run(c, user, seq, change.role, change.isInvited === true ? 1 : 0)
          else follow.run(c, user, seq, change.follows ? 1 : 0)
        }
      }),
    clear: async () => coded(() => db.exec(`DELETE FROM ${roster}`)),
    rows: () => rowsOf(db, roster, ['c', 'user'], '*'),
  }
}

interface MemberRow {
  user: string
  role: Role | null
  follows: number
  read: number
  delivered: number
}

/** Lists members by user id, with their markers; a read message counts as delivered. */
export const sqliteRosterQueries = (
  db: DatabaseSync,
  generations: { readonly roster: number; readonly readState: number },
  positions: PositionsQuery,
): RosterQueries => {
  const { roster } = tablesOf(generations.roster)
  const { readState } = tablesOf(generations.readState)
  const of = db.prepare(`
    SELECT c FROM ${roster} WHERE user = ? AND role IS NOT NULL
    UNION SELECT c FROM ${roster} WHERE user = ? AND follows = 1 ORDER BY c`)
  const members = db.prepare(`
    SELECT r.user, r.role, r.follows, ifnull(s.read, 0) AS read, ifnull(max(s.read, s.delivered), 0) AS delivered
    FROM ${roster} AS r LEFT JOIN ${readState} AS s ON s.c = r.c AND s.user = r.user
    WHERE r.c = ? AND r.user > ? AND (r.role IS NOT NULL OR r.follows = 1) ORDER BY r.user LIMIT ?`)
  const invitations = db.prepare(`
    SELECT c FROM ${roster} WHERE user = ? AND c > ? AND invited = 1 ORDER BY c LIMIT ?`)
  return {
    conversationsOf: async user =>
      coded(() => {
        db.exec('BEGIN')
        try {
          const conversations = of.all(user, user).map(row => String(row.c))
          return { conversations, positions: positions('roster', generations.roster) }
        } finally {
          db.exec('COMMIT')
        }
      }),
    members: async (c, { limit, cursor }) =>
      coded(() => {
        const [after] = cursor === undefined ? [''] : decodeCursor(cursor, 1)
        const rows = members.all(c, after ?? '', limit + 1) as unknown as MemberRow[]
        const page = rows.slice(0, limit)
        const last = page.at(-1)
        return {
          members: page.map(({ user, role, follows, read, delivered }) => ({
            user,
            role: role ?? 'member',
            ...(follows === 1 ? { follows: true as const } : {}),
            ...(read > 0 ? { read } : {}),
            ...(delivered > 0 ? { delivered } : {}),
          })),
          ...(rows.length > limit && last !== undefined ? { cursor: encodeCursor([last.user]) } : {}),
        }
      }),
    invitationsOf: async (user, { limit, cursor }) =>
      coded(() => {
        const [after = ''] = cursor === undefined ? [] : decodeCursor(cursor, 1)
        const found = invitations.all(user, after, limit + 1).map(row => String(row.c))
        const conversations = found.slice(0, limit)
        const last = conversations.at(-1)
        return {
          conversations,
          ...(found.length > limit && last !== undefined ? { cursor: encodeCursor([last]) } : {}),
        }
      }),
  }
}

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
