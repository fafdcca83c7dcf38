import type { DatabaseSync } from 'node:sqlite'
import { type ConversationEvent, fingerprintOf } from '../../events/index.ts'
import type { TimelineEntry, TimelineQueries, TimelineStore } from '../../projections/index.ts'
import { coded } from './database.ts'
import { rowsOf, tablesOf } from './view-tables.ts'

export const sqliteTimelineStore = (db: DatabaseSync, generation: number): TimelineStore => {
  const { timeline } = tablesOf(generation)
  const insert = db.prepare(
    `INSERT INTO ${timeline} (c, seq, stream_seq, m, data) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
  )
  return {
    apply: async changes =>
      coded(() => {
        for (const { c, seq, streamSeq, m, data } of changes) insert.run(c, seq, streamSeq, m ?? null, data)
      }),
    clear: async () => coded(() => db.exec(`DELETE FROM ${timeline}`)),
    rows: () => rowsOf(db, timeline, ['c', 'seq'], 'c, seq, stream_seq, m, hex(data) AS data'),
  }
}

interface MessageRow {
  seq: number
  data: Uint8Array
}

const decoder = new TextDecoder()

export const sqliteTimelineQueries = (db: DatabaseSync, generation: number): TimelineQueries => {
  const { timeline } = tablesOf(generation)
  const columns = `SELECT seq, stream_seq AS streamSeq, data FROM ${timeline} WHERE c = ?`
  const after = db.prepare(`${columns} AND seq > ? AND seq < ? ORDER BY seq LIMIT ?`)
  const before = db.prepare(`${columns} AND seq < ? ORDER BY seq DESC LIMIT ?`)
  const head = db.prepare(
    `SELECT seq, stream_seq AS streamSeq FROM ${timeline} WHERE c = ? ORDER BY seq DESC LIMIT 1`,
  )
  const message = db.prepare(`SELECT seq, data FROM ${timeline} WHERE c = ? AND m = ? ORDER BY seq LIMIT 2`)
  return {
    page: async (c, { after: low, before: high, limit }) =>
      coded(() => {
        const end = high ?? Number.MAX_SAFE_INTEGER
        const rows = low === undefined ? before.all(c, end, limit).reverse() : after.all(c, low, end, limit)
        return (rows as unknown as TimelineEntry[]).map(row => ({ ...row }))
      }),
    findMessage: async (c, m) =>
      coded(() => {
        const [posted, deleted] = message.all(c, m) as unknown as MessageRow[]
        if (posted === undefined) return undefined
        const event = JSON.parse(decoder.decode(posted.data)) as ConversationEvent
        // Only the deletion exists when the message itself became a dead letter.
        if (event.type !== 'message.posted') return undefined
        return {
          m,
          seq: posted.seq,
          from: event.from,
          at: event.at,
          deleted: deleted !== undefined,
          fingerprint: fingerprintOf(event),
        }
      }),
    head: async c =>
      coded(() => {
        const row = head.get(c) as { seq: number; streamSeq: number } | undefined
        return row && { ...row }
      }),
  }
}
