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

/** Time by which the list is ordered: that of the last message, or of the user's arrival if it is later. */
const listedAt = `max(v.at, iif(e.member = 1, e.member_at, ''), iif(e.follows = 1, e.follow_at, ''))`

interface EntryRow {
  c: string
  kind: Kind
  first: string | null
  second: string | null
  title: string | null
  head: number
  at: string
  /** In later pages. */
  place?: string
  n: number
  deleted: number
  read: number
  sent_seq: number
  sent_n: number
  muted: number
}

/**
 * Joins at read time. Unread messages are those after the effective read marker, counted by ordinals: the last
 * message's ordinal minus that of the last message at the marker, minus the deleted messages after the marker. The
 * count costs one look-up at any distance, and a range of an index where a message was deleted after the marker.
 */
export const sqliteInboxQueries = (db: DatabaseSync, generation: number): InboxQueries => {
  const tables = tablesOf(generation)
  const rowsOf = (more = '') => `
    SELECT v.c, v.kind, v.first, v.second, v.title, v.head, ${listedAt} AS at, v.n, v.deleted,
      e.read, e.sent_seq, e.sent_n, e.muted${more}
    FROM ${tables.inboxEntry} AS e JOIN ${tables.inboxConversation} AS v ON v.c = e.c
    WHERE e.user = $user AND (e.member = 1 OR e.follows = 1) AND v.kind IS NOT NULL`
  const first = db.prepare(`${rowsOf()} ORDER BY ${listedAt} DESC, v.c LIMIT $limit`)
  // The place of a conversation when the first page was read; '': it was not in the list.
  const placeThen = `iif(${listedAt} <= $since, ${listedAt}, max(
    ifnull((SELECT p.at FROM ${tables.inboxMessage} AS p WHERE p.c = v.c AND p.at <= $since
      ORDER BY p.seq DESC LIMIT 1), ''),
    iif(e.member = 1 AND e.member_at <= $since, e.member_at, ''),
    iif(e.follows = 1 AND e.follow_at <= $since, e.follow_at, '')))`
  const next = db.prepare(`
    SELECT * FROM (${rowsOf(`, ${placeThen} AS place`)})
    WHERE place <> '' AND (place < $place OR (place = $place AND c > $c))
    ORDER BY place DESC, c LIMIT $limit`)
  const one = db.prepare(`${rowsOf()} AND e.c = $c`)
  const ordinalAt = db.prepare(
    `SELECT n FROM ${tables.inboxMessage} WHERE c = ? AND seq <= ? ORDER BY seq DESC LIMIT 1`,
  )
  const deletedAfter = db.prepare(
    `SELECT count(*) AS count FROM ${tables.inboxDeletion} WHERE c = ? AND seq > ?`,
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
  const unreadOf = (row: EntryRow, read: number): number => {
    const posted = row.n - ordinalOf(row)
    // The view may be further ahead in the user's log than in the conversation's.
    if (posted <= 0) return 0
    // A message is deleted after it was posted.
    if (row.deleted <= read) return posted
    return Math.max(0, posted - Number(deletedAfter.get(row.c, read)?.count))
  }
  const itemOf = (user: string, row: EntryRow): InboxItem => {
    const last = lastMessage.get(row.c) as unknown as NonNullable<InboxItem['lastMessage']> | undefined
    const peer = row.first === user ? row.second : row.first
    const read = Math.max(row.read, row.sent_seq)
    return {
      c: row.c,
      kind: row.kind,
      title: row.title,
      head: row.head,
      lastMessage: last ? { ...last } : null,
      unread: unreadOf(row, read),
      read,
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
        const [place = '', c = '', since] = cursor === undefined ? [] : decodeCursor(cursor, 3)
        const rows = (since === undefined
          ? first.all({ user, limit: limit + 1 })
          : next.all({ user, place, c, since, limit: limit + 1 })) as unknown as EntryRow[]
        const page = rows.slice(0, limit)
        const last = page.at(-1)
        const items = page.map(row => itemOf(user, row))
        if (rows.length <= limit || last === undefined) return { items }
        return {
          items,
          cursor: encodeCursor([last.place ?? last.at, last.c, since ?? rows[0]?.at ?? '']),
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
        const row = one.get({ user, c }) as EntryRow | undefined
        return row === undefined ? undefined : itemOf(user, row)
      }),
  }
}
