import type { DatabaseSync } from 'node:sqlite'
import { type ConversationEvent, fingerprintOf } from '../../events/index.ts'
import type {
  Amendment,
  TimelineChange,
  TimelineEntry,
  TimelineQueries,
  TimelineStore,
  ViewRow,
} from '../../projections/index.ts'
import { coded } from './database.ts'
import { rowsOf, tablesOf } from './view-tables.ts'

export const sqliteTimelineStore = (db: DatabaseSync, generation: number): TimelineStore => {
  const tables = tablesOf(generation)
  const { timeline, timelineAmendment, timelineMedia } = tables
  const amend =
    db.prepare(`INSERT INTO ${timelineAmendment} (c, seq, amended, data, data_seq) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET data = iif(excluded.amended > amended, excluded.data, data),
      amended = max(amended, excluded.amended), data_seq = max(data_seq, excluded.data_seq)
    WHERE excluded.amended > amended OR excluded.data_seq > data_seq`)
  const attach = db.prepare(
    `INSERT INTO ${timelineMedia} (c, media, seq) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`,
  )
  const posted = db.prepare(`SELECT seq FROM ${timeline} WHERE c = ? AND m = ? ORDER BY seq LIMIT 1`)
  /** An amendment of a message that became a dead letter has no message. */
  const amendMessage = ({ c, seq, data }: TimelineChange, amendment: Amendment): void => {
    const { m, messageSeq, isDeletion, changesData } = amendment
    const of = messageSeq ?? (posted.get(c, m)?.seq as number | undefined)
    if (of !== undefined && of < seq) amend.run(c, of, seq, isDeletion ? null : data, changesData ? seq : 0)
  }
  const insert = db.prepare(
    `INSERT INTO ${timeline} (c, seq, stream_seq, m, data) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
  )
  return {
    apply: async changes =>
      coded(() => {
        for (const change of changes) {
          const { c, seq, streamSeq, m, amendment, media, data } = change
          insert.run(c, seq, streamSeq, m ?? null, data)
          if (amendment !== undefined) amendMessage(change, amendment)
          if (media !== undefined) for (const id of media) attach.run(c, id, seq)
        }
      }),
    clear: async () =>
      coded(() => {
        for (const table of [timeline, timelineAmendment, timelineMedia]) db.exec(`DELETE FROM ${table}`)
      }),
    rows: () => allRows(db, tables),
  }
}

async function* allRows(
  db: DatabaseSync,
  { timeline, timelineAmendment, timelineMedia }: ReturnType<typeof tablesOf>,
): AsyncGenerator<readonly ViewRow[]> {
  yield* rowsOf(db, timeline, ['c', 'seq'], 'c, seq, stream_seq, m, hex(data) AS data')
  yield* rowsOf(db, timelineAmendment, ['c', 'seq'], 'c, seq, amended, hex(data) AS data, data_seq')
  yield* rowsOf(db, timelineMedia, ['c', 'media', 'seq'], 'c, media, seq')
}

interface MessageRow {
  seq: number
  data: Uint8Array
}

interface AmendmentRow {
  seq: number
  amended: number
  data: Uint8Array | null
  dataSeq: number
}

const decoder = new TextDecoder()

export const sqliteTimelineQueries = (db: DatabaseSync, generation: number): TimelineQueries => {
  const { timeline, timelineAmendment, timelineMedia } = tablesOf(generation)
  const columns = `SELECT seq, stream_seq AS streamSeq, data FROM ${timeline} WHERE c = ?`
  const after = db.prepare(`${columns} AND seq > ? AND seq < ? ORDER BY seq LIMIT ?`)
  const before = db.prepare(`${columns} AND seq < ? ORDER BY seq DESC LIMIT ?`)
  const head = db.prepare(
    `SELECT seq, stream_seq AS streamSeq FROM ${timeline} WHERE c = ? ORDER BY seq DESC LIMIT 1`,
  )
  const message = db.prepare(`SELECT seq, data FROM ${timeline} WHERE c = ? AND m = ? ORDER BY seq LIMIT 2`)
  const amendments = db.prepare(
    `SELECT seq, amended, data, data_seq AS dataSeq FROM ${timelineAmendment} WHERE c = ? AND seq BETWEEN ? AND ?`,
  )
  const withMedia = db.prepare(`SELECT seq FROM ${timelineMedia} WHERE c = ? AND media = ?`)
  return {
    amendments: async (c, from, to) =>
      coded(() =>
        (amendments.all(c, from, to) as unknown as AmendmentRow[]).map(({ seq, amended, data, dataSeq }) => ({
          messageSeq: seq,
          seq: amended,
          data: data ?? undefined,
          dataSeq,
        })),
      ),
    messagesWith: async (c, mediaId) => coded(() => withMedia.all(c, mediaId).map(({ seq }) => Number(seq))),
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
