import type { DatabaseSync } from 'node:sqlite'
import type { InboxItem, Kind } from '../../events/index.ts'
import {
  decodeCursor,
  encodeCursor,
  type InboxQueries,
  type WaitingMessage,
} from '../../projections/index.ts'
import { coded, rowsOf } from './database.ts'
import { millisecondsOf, tablesOf } from './view-tables.ts'

/**
 * Time by which the list is ordered, ms since 1970: that of the last message, or of the user's arrival if it is later.
 */
const listedAt = 'iif(v.posted > e.arrived, v.posted, e.arrived)'

const isoOf = (ms: number): string => new Date(ms).toISOString()

/** A conversation of the user, as the columns of `entriesOf` have it. Times are in ms since 1970. */
type EntryRow = readonly [
  c: string,
  kind: Kind,
  first: string | null,
  second: string | null,
  title: string | null,
  head: number,
  /** Time by which the list is ordered. */
  at: number,
  /** Ordinal of the last message. */
  n: number,
  /** seq of the last message. */
  lastSeq: number,
  /** seq of the last edit or deletion. */
  amended: number,
  read: number,
  /** seq and ordinal of the user's last message, or of the last message when the user joined. */
  sentSeq: number,
  sentN: number,
  /** 1: muted. 2: archived. */
  flags: number,
  arrived: number,
  /** In later pages. */
  place?: number,
]

const entryOf = (row: EntryRow) => {
  const [
    c,
    kind,
    first,
    second,
    title,
    head,
    at,
    n,
    lastSeq,
    amended,
    read,
    sentSeq,
    sentN,
    flags,
    arrived,
    place,
  ] = row
  return {
    c,
    kind,
    first,
    second,
    title,
    head,
    at,
    n,
    lastSeq,
    amended,
    read,
    sentSeq,
    sentN,
    flags,
    arrived,
    place,
  }
}

type Entry = ReturnType<typeof entryOf>

type MessageRow = readonly [seq: number, m: string, from: string, at: string, text: string]

/**
 * Joins at read time. Unread messages are those after the effective read marker, counted by ordinals: the last
 * message's ordinal minus that of the last message at the marker, minus the deleted messages after the marker. The
 * count costs one look-up at any distance, and a range of an index where a message was deleted after the marker.
 */
export const sqliteInboxQueries = (db: DatabaseSync, generation: number): InboxQueries => {
  const tables = tablesOf(generation)
  const entriesOf = (more = '', user = '?') => `
    SELECT v.c, v.kind, v.first, v.second, v.title, v.head, ${listedAt} AS at, v.n, v.last_seq, v.amended,
      e.read, e.sent_seq, e.sent_n, e.muted + 2 * v.archived AS flags, e.arrived${more}
    FROM ${tables.inboxEntry} AS e JOIN ${tables.inboxConversation} AS v ON v.c = e.c
    WHERE e.user = ${user} AND (e.member = 1 OR e.follows = 1) AND v.kind IS NOT NULL`
  const listOf = (more = '', user = '?') =>
    `${entriesOf(more, user)} AND (e.shown_from = 0 OR max(v.last_seq, e.sent_seq) >= e.shown_from)`
  const first = rowsOf<EntryRow>(db, `${listOf()} ORDER BY ${listedAt} DESC, v.c LIMIT ?`)
  // Returns the conversations with a new message since the first page first.
  const next = rowsOf<EntryRow>(
    db,
    `${listOf()} AND (${listedAt} > ? OR ${listedAt} < ? OR (${listedAt} = ? AND v.c > ?))
    ORDER BY ${listedAt} DESC, v.c LIMIT ?`,
  )
  const lastThen = (column: string) => `ifnull((SELECT ${column} FROM ${tables.inboxMessage} AS p
      WHERE p.c = v.c AND p.at <= ?2 ORDER BY p.seq DESC LIMIT 1), 0)`
  // The place of a conversation when the first page was read; 0: it was not in the list, or hidden.
  const placeThen = `iif(${listedAt} <= ?1, ${listedAt},
    iif(e.shown_from > 0 AND ${lastThen('p.seq')} < e.shown_from, 0,
    max(${lastThen(millisecondsOf('p.at'))}, iif(e.arrived <= ?1, e.arrived, 0))))`
  // LIMIT -1: SQLite computes the inner columns once, not at each use.
  const nextThen = rowsOf<EntryRow>(
    db,
    `
    SELECT * FROM (${listOf(`, ${placeThen} AS place`, '?3')} LIMIT -1)
    WHERE (place < ?4 OR (place = ?4 AND c > ?5)) AND place > 0 ORDER BY place DESC, c LIMIT ?6`,
  )
  const one = rowsOf<EntryRow>(db, `${entriesOf()} AND e.c = ?`)
  const heads = rowsOf<[c: string, head: number]>(
    db,
    `
    SELECT v.c, v.head FROM json_each(?) AS j
    CROSS JOIN ${tables.inboxEntry} AS e ON e.user = ? AND e.c = j.value
    CROSS JOIN ${tables.inboxConversation} AS v ON v.c = e.c
    WHERE (e.member = 1 OR e.follows = 1) AND v.kind IS NOT NULL`,
  )
  const ordinalAt = rowsOf<[n: number]>(
    db,
    `SELECT n FROM ${tables.inboxMessage} WHERE c = ? AND seq <= ? ORDER BY seq DESC LIMIT 1`,
  )
  const deletedAfter = rowsOf<[count: number]>(
    db,
    `SELECT count(*) FROM ${tables.inboxDeletion} WHERE c = ? AND seq > ?`,
  )
  const messageAt = rowsOf<MessageRow>(
    db,
    `
    SELECT seq, m, sender, at, text FROM ${tables.inboxMessage} WHERE c = ? AND seq = ?`,
  )
  const lastMessage = rowsOf<MessageRow>(
    db,
    `
    SELECT p.seq, p.m, p.sender, p.at, ifnull(a.text, p.text)
    FROM ${tables.inboxMessage} AS p LEFT JOIN ${tables.inboxAmendment} AS a ON a.c = p.c AND a.m = p.m
    WHERE p.c = ? AND (a.seq IS NULL OR a.text IS NOT NULL) ORDER BY p.seq DESC LIMIT 1`,
  )

  // By conversation: walks two indexes, whatever waits in other conversations.
  const undelivered = rowsOf<[c: string, seq: number, m: string, from: string, at: string]>(
    db,
    `
    SELECT p.c, p.seq, p.m, p.sender, p.at
    FROM ${tables.inboxEntry} AS e CROSS JOIN ${tables.inboxMessage} AS p ON p.c = e.c
    LEFT JOIN ${tables.inboxAmendment} AS a ON a.c = p.c AND a.m = p.m
    WHERE e.user = ? AND (e.member = 1 OR e.follows = 1) AND e.c >= ? AND p.seq > max(e.read, e.delivered, e.sent_seq)
      AND (p.c, p.seq) > (?, ?) AND p.at >= ? AND (a.seq IS NULL OR a.text IS NOT NULL)
    ORDER BY p.c, p.seq LIMIT ?`,
  )

  const ordinalOf = ({ c, read, sentSeq, sentN, head, n }: Entry): number => {
    if (read <= sentSeq) return sentN
    if (read >= head) return n
    return ordinalAt.get(c, read)?.[0] ?? 0
  }
  /** A message is amended after it was posted, so usually no amendment is looked up. */
  const lastOf = ({ c, lastSeq, amended }: Entry): InboxItem['lastMessage'] => {
    const row = lastSeq > amended ? messageAt.get(c, lastSeq) : lastMessage.get(c)
    if (row === undefined) return null
    const [seq, m, from, at, text] = row
    return { seq, m, from, at, text }
  }
  const unreadOf = (entry: Entry, read: number): number => {
    const posted = entry.n - ordinalOf(entry)
    // The view may be further ahead in the user's log than in the conversation's.
    if (posted <= 0) return 0
    // A message is deleted after it was posted.
    if (entry.amended <= read) return posted
    return Math.max(0, posted - (deletedAfter.get(entry.c, read)?.[0] ?? 0))
  }
  const itemOf = (user: string, entry: Entry): InboxItem => {
    const { c, kind, first, second, title, head, sentSeq, flags } = entry
    const last = lastOf(entry)
    const read = Math.max(entry.read, sentSeq)
    const item: InboxItem = {
      c,
      kind,
      title,
      head,
      lastMessage: last,
      unread: unreadOf(entry, read),
      read,
      at: entry.at > entry.arrived && last?.seq === entry.lastSeq ? last.at : isoOf(entry.at),
      muted: flags % 2 === 1,
    }
    if (flags >= 2) item.archived = true
    const peer = first === user ? second : first
    if (peer !== null) item.peer = peer
    return item
  }
  /**
   * Whether the last message may be from before the user joined. Joining counts as reading, like sending. Of a message
   * that is not the last one, it is not known whether the user joined after it.
   */
  const isEarly = (
    user: string,
    { sentSeq, lastSeq, arrived, at }: Entry,
    { lastMessage }: InboxItem,
  ): boolean =>
    lastMessage !== null &&
    lastMessage.seq <= sentSeq &&
    (lastMessage.from !== user || arrived >= at || lastMessage.seq < lastSeq)
  /** Returns the entries after a place in the order that the list had at the time `since`. */
  const entriesAfter = (
    user: string,
    { place, c, since }: { place: number; c: string; since: string },
    limit: number,
  ): Entry[] => {
    const at = Date.parse(since)
    const entries = next.all(user, at, place, place, c, limit).map(entryOf)
    if (entries[0] === undefined || entries[0].at <= at) return entries
    return nextThen.all(at, since, user, place, c, limit).map(entryOf)
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
        const entries =
          since === undefined
            ? first.all(user, limit + 1).map(entryOf)
            : entriesAfter(user, { place: Date.parse(place), c, since }, limit + 1)
        const page = entries.slice(0, limit)
        const last = page.at(-1)
        const items = page.map(entry => itemOf(user, entry))
        const early = items.filter((item, i) => isEarly(user, page[i]!, item)).map(({ c }) => c)
        const marked = early.length === 0 ? { items } : { items, early }
        if (entries.length <= limit || last === undefined) return marked
        return {
          ...marked,
          cursor: encodeCursor([
            isoOf(last.place ?? last.at),
            last.c,
            since ?? isoOf(entries[0]?.at ?? last.at),
          ]),
        }
      }),
    undelivered: async (user, { since, limit, cursor }) =>
      snapshot(() => {
        const [c = '', seq = '0'] = cursor === undefined ? [] : decodeCursor(cursor, 2)
        const rows = undelivered.all(user, c, c, Number(seq), since, limit + 1)
        const page: WaitingMessage[] = rows
          .slice(0, limit)
          .map(([c, seq, m, from, at]) => ({ c, seq, m, from, at }))
        const last = page.at(-1)
        return rows.length > limit && last !== undefined
          ? { messages: page, cursor: encodeCursor([last.c, String(last.seq)]) }
          : { messages: page }
      }),
    item: async (user, c) =>
      snapshot(() => {
        const row = one.get(user, c)
        return row === undefined ? undefined : itemOf(user, entryOf(row))
      }),
    heads: async (user, conversations) =>
      coded(() => new Map(heads.all(JSON.stringify(conversations), user))),
  }
}
