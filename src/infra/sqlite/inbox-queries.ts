import type { DatabaseSync } from 'node:sqlite'
import type { InboxItem, Kind } from '../../events/index.ts'
import {
  decodeCursor,
  encodeCursor,
  type InboxQueries,
  type WaitingMessage,
} from '../../projections/index.ts'
import { coded } from './database.ts'
import { millisecondsOf, tablesOf } from './view-tables.ts'

/**
 * Time by which the list is ordered, ms since 1970: that of the last message, or of the user's arrival if it is later.
 */
const listedAt = 'iif(v.posted > e.arrived, v.posted, e.arrived)'

const isoOf = (ms: number): string => new Date(ms).toISOString()

interface EntryRow {
  c: string
  kind: Kind
  first: string | null
  second: string | null
  title: string | null
  head: number
  /** ms since 1970. */
  at: number
  /** In later pages: ms since 1970. */
  place?: number
  n: number
  last_seq: number
  amended: number
  read: number
  sent_seq: number
  sent_n: number
  /** 1: muted. 2: archived. */
  flags: number
  /** ms since 1970. */
  arrived: number
}

/**
 * Joins at read time. Unread messages are those after the effective read marker, counted by ordinals: the last
 * message's ordinal minus that of the last message at the marker, minus the deleted messages after the marker. The
 * count costs one look-up at any distance, and a range of an index where a message was deleted after the marker.
 */
export const sqliteInboxQueries = (db: DatabaseSync, generation: number): InboxQueries => {
  const tables = tablesOf(generation)
  const rowsOf = (more = '', user = '?') => `
    SELECT v.c, v.kind, v.first, v.second, v.title, v.head, ${listedAt} AS at, v.n, v.last_seq, v.amended,
      e.read, e.sent_seq, e.sent_n, e.muted + 2 * v.archived AS flags, e.arrived${more}
    FROM ${tables.inboxEntry} AS e JOIN ${tables.inboxConversation} AS v ON v.c = e.c
    WHERE e.user = ${user} AND (e.member = 1 OR e.follows = 1) AND v.kind IS NOT NULL`
  const listOf = (more = '', user = '?') =>
    `${rowsOf(more, user)} AND (e.shown_from = 0 OR max(v.last_seq, e.sent_seq) >= e.shown_from)`
  const first = db.prepare(`${listOf()} ORDER BY ${listedAt} DESC, v.c LIMIT ?`)
  // Returns the conversations with a new message since the first page first.
  const next =
    db.prepare(`${listOf()} AND (${listedAt} > ? OR ${listedAt} < ? OR (${listedAt} = ? AND v.c > ?))
    ORDER BY ${listedAt} DESC, v.c LIMIT ?`)
  const lastThen = (column: string) => `ifnull((SELECT ${column} FROM ${tables.inboxMessage} AS p
      WHERE p.c = v.c AND p.at <= ?2 ORDER BY p.seq DESC LIMIT 1), 0)`
  // The place of a conversation when the first page was read; 0: it was not in the list, or hidden.
  const placeThen = `iif(${listedAt} <= ?1, ${listedAt},
    iif(e.shown_from > 0 AND ${lastThen('p.seq')} < e.shown_from, 0,
    max(${lastThen(millisecondsOf('p.at'))}, iif(e.arrived <= ?1, e.arrived, 0))))`
  // LIMIT -1: SQLite computes the inner columns once, not at each use.
  const nextThen = db.prepare(`
    SELECT * FROM (${listOf(`, ${placeThen} AS place`, '?3')} LIMIT -1)
    WHERE (place < ?4 OR (place = ?4 AND c > ?5)) AND place > 0 ORDER BY place DESC, c LIMIT ?6`)
  const one = db.prepare(`${rowsOf()} AND e.c = ?`)
  const heads = db.prepare(`
    SELECT v.c, v.head FROM json_each(?) AS j
    CROSS JOIN ${tables.inboxEntry} AS e ON e.user = ? AND e.c = j.value
    CROSS JOIN ${tables.inboxConversation} AS v ON v.c = e.c
    WHERE (e.member = 1 OR e.follows = 1) AND v.kind IS NOT NULL`)
  const ordinalAt = db.prepare(
    `SELECT n FROM ${tables.inboxMessage} WHERE c = ? AND seq <= ? ORDER BY seq DESC LIMIT 1`,
  )
  const deletedAfter = db.prepare(
    `SELECT count(*) AS count FROM ${tables.inboxDeletion} WHERE c = ? AND seq > ?`,
  )
  const messageAt = db.prepare(`
    SELECT seq, m, sender AS "from", at, text FROM ${tables.inboxMessage} WHERE c = ? AND seq = ?`)
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
  /** A message is amended after it was posted, so usually no amendment is looked up. */
  const lastOf = ({ c, last_seq: seq, amended }: EntryRow) =>
    seq > amended ? messageAt.get(c, seq) : lastMessage.get(c)
  const unreadOf = (row: EntryRow, read: number): number => {
    const posted = row.n - ordinalOf(row)
    // The view may be further ahead in the user's log than in the conversation's.
    if (posted <= 0) return 0
    // A message is deleted after it was posted.
    if (row.amended <= read) return posted
    return Math.max(0, posted - Number(deletedAfter.get(row.c, read)?.count))
  }
  const itemOf = (user: string, row: EntryRow): InboxItem => {
    const last = lastOf(row) as unknown as NonNullable<InboxItem['lastMessage']> | undefined
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
      at: row.at > row.arrived && last?.seq === row.last_seq ? last.at : isoOf(row.at),
      muted: row.flags % 2 === 1,
      ...(row.flags >= 2 ? { archived: true as const } : {}),
      ...(peer === null ? {} : { peer }),
    }
  }
  /** Whether the last message may be from before the user joined. Joining counts as reading, like sending. */
  const isEarly = (user: string, row: EntryRow, { lastMessage }: InboxItem): boolean =>
    lastMessage !== null &&
    lastMessage.seq <= row.sent_seq &&
    (lastMessage.from !== user || row.arrived >= Date.parse(lastMessage.at))
  /** Returns the rows after a place in the order that the list had at the time `since`. */
  const rowsAfter = (
    user: string,
    { place, c, since }: { place: number; c: string; since: string },
    limit: number,
  ): EntryRow[] => {
    const at = Date.parse(since)
    const rows = next.all(user, at, place, place, c, limit) as unknown as EntryRow[]
    if (rows[0] === undefined || rows[0].at <= at) return rows
    return nextThen.all(at, since, user, place, c, limit) as unknown as EntryRow[]
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
        const rows =
          since === undefined
            ? (first.all(user, limit + 1) as unknown as EntryRow[])
            : rowsAfter(user, { place: Date.parse(place), c, since }, limit + 1)
        const page = rows.slice(0, limit)
        const last = page.at(-1)
        const items = page.map(row => itemOf(user, row))
        const early = items.filter((item, i) => isEarly(user, page[i]!, item)).map(({ c }) => c)
        const marked = early.length === 0 ? { items } : { items, early }
        if (rows.length <= limit || last === undefined) return marked
        return {
          ...marked,
          cursor: encodeCursor([
            isoOf(last.place ?? last.at),
            last.c,
            since ?? isoOf(rows[0]?.at ?? last.at),
          ]),
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
    heads: async (user, conversations) =>
      coded(() => {
        const rows = heads.all(JSON.stringify(conversations), user) as unknown as {
          c: string
          head: number
        }[]
        return new Map(rows.map(({ c, head }) => [c, head]))
      }),
  }
}
