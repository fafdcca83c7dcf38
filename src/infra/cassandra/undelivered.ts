import {
  decodeCursor,
  encodeCursor,
  type InboxQueries,
  type WaitingMessage,
} from '../../projections/index.ts'
import { type Database, numberOf, type Row, textOf } from './database.ts'
import { bucketOf, bucketSize, tablesOf } from './view-tables.ts'

/** Number of entries whose conversations are checked together for waiting messages. */
const chunkRows = 100
const mostRows = 200

/** The waiting messages of one conversation. */
interface Queue {
  readonly c: string
  /** The last seq that the user has read, received or sent. */
  readonly after: number
  readonly last: number
  /** seq of the last edit or deletion. */
  readonly amended: number
}

/**
 * Reads by conversation: one look-up for each conversation of the user, then slices of those with waiting messages.
 * Buckets whose last message is older than `since` are skipped.
 */
export const cassandraUndelivered = (database: Database, generation: number): InboxQueries['undelivered'] => {
  const { inboxEntry, inboxConversation, inboxMessage, inboxAmendment } = tablesOf(generation)
  const selectEntries = `SELECT c, member, follows, read, delivered, sent_seq FROM ${inboxEntry} WHERE user = ? AND c >= ?`
  const selectLast = `SELECT last_seq, amended FROM ${inboxConversation} WHERE c = ?`
  const selectNewest = `SELECT at FROM ${inboxMessage} WHERE c = ? AND bucket = ? LIMIT 1`
  const selectMessages = `SELECT seq, m, sender, at FROM ${inboxMessage}
    WHERE c = ? AND bucket = ? AND seq > ? ORDER BY seq ASC LIMIT ?`
  const selectAmendment = `SELECT deleted FROM ${inboxAmendment} WHERE c = ? AND m = ?`

  const queueOf = async (entry: Row, from: { c: string; seq: number }): Promise<Queue | undefined> => {
    if (entry.member !== true && entry.follows !== true) return undefined
    const c = String(entry.c)
    const got = Math.max(numberOf(entry.read), numberOf(entry.delivered), numberOf(entry.sent_seq))
    const after = c === from.c ? Math.max(got, from.seq) : got
    const row = await database.one(selectLast, [c])
    const last = numberOf(row?.last_seq)
    return last > after ? { c, after, last, amended: numberOf(row?.amended) } : undefined
  }
  const isStanding = async ({ c, amended }: Queue, seq: number, m: string): Promise<boolean> => {
    // A message is amended after it was posted.
    if (amended < seq) return true
    return (await database.one(selectAmendment, [c, m]))?.deleted !== true
  }
  const waitingIn = async (queue: Queue, since: string, most: number): Promise<WaitingMessage[]> => {
    const { c, last } = queue
    const found: WaitingMessage[] = []
    let { after } = queue
    while (after < last && found.length < most) {
      const bucket = bucketOf(after + 1)
      const end = (bucket + 1) * bucketSize - 1
      const newest = await database.one(selectNewest, [c, bucket])
      if (newest === undefined || textOf(newest.at) < since) {
        after = end
        continue
      }
      const wanted = Math.min(mostRows, most - found.length)
      const rows = await database.read(selectMessages, [c, bucket, after, wanted])
      const standing = await Promise.all(
        rows.map(row =>
          textOf(row.at) < since ? false : isStanding(queue, numberOf(row.seq), textOf(row.m)),
        ),
      )
      for (const [i, row] of rows.entries())
        if (standing[i])
          found.push({
            c,
            seq: numberOf(row.seq),
            m: textOf(row.m),
            from: textOf(row.sender),
            at: textOf(row.at),
          })
      after = rows.length < wanted ? end : numberOf(rows.at(-1)?.seq)
    }
    return found
  }

  return async (user, { since, limit, cursor }) => {
    const [c = '', seq = '0'] = cursor === undefined ? [] : decodeCursor(cursor, 2)
    const from = { c, seq: Number(seq) }
    const found: WaitingMessage[] = []
    for await (const entries of database.pages(selectEntries, [user, c], chunkRows)) {
      const queues = await Promise.all(entries.map(entry => queueOf(entry, from)))
      for (const queue of queues)
        if (queue !== undefined && found.length <= limit)
          found.push(...(await waitingIn(queue, since, limit + 1 - found.length)))
      if (found.length > limit) break
    }
    const messages = found.slice(0, limit)
    const last = messages.at(-1)
    return found.length > limit && last !== undefined
      ? { messages, cursor: encodeCursor([last.c, String(last.seq)]) }
      : { messages }
  }
}
