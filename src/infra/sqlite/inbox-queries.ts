import type { DatabaseSync } from 'node:sqlite'
import type { InboxItem, Kind } from '../../events/index.ts'
import {
  decodeCursor,
  encodeCursor,
  type InboxQueries,
  type WaitingMessage,
} from '../../projections/index.ts'
import { coded } from './database.ts'
import { tablesOf } from './view-tables.ts'

interface EntryRow {
  c: string
  kind: Kind
  first: string | null
  second: string | null
  title: string | null
  head: number
  at: string
  n: number
  read: number
  sent_seq: number
  sent_n: number
  muted: number
}

/**
 * Joins at read time. Unread messages are those after the effective read marker, counted by ordinals: the last
 * message's ordinal minus that of the last message at the marker. A deleted message keeps its ordinal and counts as
 * unread until the marker passes it: the count changes only with markers and messages, and costs one look-up at any
 * distance.
 */
export const sqliteInboxQueries = (db: DatabaseSync, generation: number): InboxQueries => {
  const tables = tablesOf(generation)
  const columns = `
    SELECT v.c, v.kind, v.first, v.second, v.title, v.head, v.at, v.n, e.read, e.sent_seq, e.sent_n, e.muted
    FROM ${tables.inboxEntry} AS e JOIN ${tables.inboxConversation} AS v ON v.c = e.c
    WHERE e.user = ? AND (e.member = 1 OR e.follows = 1) AND v.kind IS NOT NULL`
  const order = 'ORDER BY v.at DESC, v.c LIMIT ?'
  const first = db.prepare(`${columns} ${order}`)
  const next = db.prepare(`${columns} AND (v.at < ? OR (v.at = ? AND v.c > ?)) ${order}`)
  const one = db.prepare(`${columns} AND e.c = ?`)
  const ordinalAt = db.prepare(
    `SELECT n FROM ${tables.inboxMessage} WHERE c = ? AND seq <= ? ORDER BY seq DESC LIMIT 1`,
  )
  const lastMessage = db.prepare(`
    SELECT p.seq, p.m, p.sender AS "from", p.at, ifnull(a.text, p.text) AS text
    FROM ${tables.inboxMessage} AS p LEFT JOIN ${tables.inboxAmendment} AS a ON a.c = p.c AND a.m = p.m
    WHERE p.c = ? AND (a.seq IS NULL OR a.text IS NOT NULL) ORDER BY p.seq DESC LIMIT 1`)

  // By conversation: walks two indexes, whatever waits in other conversations.
  const undelivered = db.prepare(`
    SELECT p.c, p.seq, p.m, p.sender AS "from", p.at
    FROM ${tables.inboxEntry} AS e CROSS JOIN ${tables.inboxMessage} AS p ON p.c = e.c
    LEFT JOIN ${tables.inboxAmendment} AS a ON a.c = p.c AND a.m = p.m
    WHERE e.user = ? AND (e.member = 1 OR e.follows = 1) AND e.c >= ? AND p.seq > max(e.read, e.delivered, e.sent_seq)
      AND (p.c, p.seq) > (?, ?) AND p.at >= ? AND (a.seq IS NULL OR a.text IS NOT NULL)
    ORDER BY p.c, p.seq LIMIT ?`)

  const ordinalOf = (row: EntryRow): number => {
    if (row.read <= row.sent_seq) return row.sent_n
    if (row.read >= row.head) return row.n
    return Number(ordinalAt.get(row.c, row.read)?.n ?? 0)
  }
  const itemOf = (user: string, row: EntryRow): InboxItem => {
    const last = lastMessage.get(row.c) as unknown as NonNullable<InboxItem['lastMessage']> | undefined
    const peer = row.first === user ? row.second : row.first
    return {
      c: row.c,
      kind: row.kind,
      title: row.title,
      head: row.head,
      lastMessage: last ? { ...last } : null,
      // The view may be further ahead in the user's log than in the conversation's.
      unread: Math.max(0, row.n - ordinalOf(row)),
      read: Math.max(row.read, row.sent_seq),
      at: row.at,
      muted: row.muted === 1,
      ...(peer === null ? {} : { peer }),
    }
  }
  /** Reads everything for one answer in one snapshot. */
  const snapshot = <T>(work: () => T): T =>
    coded(() => {
      db.exec('BEGIN')
      try {
        return work()
      } finally {
        db.exec('COMMIT')
      }
    })

  return {
    page: async (user, { limit, cursor }) =>
      snapshot(() => {
        const [at, c] = cursor === undefined ? [] : decodeCursor(cursor, 2)
        const rows = (at === undefined || c === undefined
          ? first.all(user, limit + 1)
          : next.all(user, at, at, c, limit + 1)) as unknown as EntryRow[]
        const page = rows.slice(0, limit)
        const last = page.at(-1)
        return {
          items: page.map(row => itemOf(user, row)),
          ...(rows.length > limit && last !== undefined ? { cursor: encodeCursor([last.at, last.c]) } : {}),
        }
      }),
    undelivered: async (user, { since, limit, cursor }) =>
      snapshot(() => {
        const [c = '', seq = '0'] = cursor === undefined ? [] : decodeCursor(cursor, 2)
        const rows = undelivered.all(user, c, c, Number(seq), since, limit + 1) as unknown as WaitingMessage[]
        const page = rows.slice(0, limit).map(row => ({ ...row }))
        const last = page.at(-1)
        return rows.length > limit && last !== undefined
          ? { messages: page, cursor: encodeCursor([last.c, String(last.seq)]) }
          : { messages: page }
      }),
    item: async (user, c) =>
      snapshot(() => {
        const row = one.get(user, c) as EntryRow | undefined
        return row === undefined ? undefined : itemOf(user, row)
      }),
  }
}
