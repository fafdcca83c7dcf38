import { type ConversationEvent, fingerprintOf } from '../../events/index.ts'
import type {
  TimelineChange,
  TimelineEntry,
  TimelineQueries,
  TimelineStore,
} from '../../projections/index.ts'
import { bufferOf, type Database, numberOf, type Row, type Write } from './database.ts'
import { allRows, emptyTables } from './generations.ts'
import { bucketOf, bucketSize, tablesOf } from './view-tables.ts'

/**
 * Of two events with one seq the earlier in the stream wins: the higher the stream sequence, the older the row's
 * timestamp. Counted back from a date in the past, January 2020 in microseconds, because servers may reject future
 * timestamps.
 */
const epochMicros = 1_577_836_800_000_000

/**
 * Writes one row per event, one to find a message by id, and one head per conversation. Heads are written last, so a
 * head never refers to a missing row.
 */
export const cassandraTimelineStore = (database: Database, generation: number): TimelineStore => {
  const { timeline, timelineMessage, timelineHead } = tablesOf(generation)
  const insert = `INSERT INTO ${timeline} (c, bucket, seq, stream_seq, data) VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?`
  const insertMessage = `INSERT INTO ${timelineMessage} (c, m, seq) VALUES (?, ?, ?) USING TIMESTAMP ?`
  const setHead = `UPDATE ${timelineHead} USING TIMESTAMP ? SET seq = ?, stream_seq = ? WHERE c = ?`
  return {
    async apply(changes) {
      const writes: Write[] = []
      const heads = new Map<string, TimelineChange>()
      for (const change of changes) {
        const { c, seq, streamSeq, m, data } = change
        const bucket = bucketOf(seq)
        const stamp = epochMicros - streamSeq
        writes.push({
          query: insert,
          params: [c, bucket, seq, streamSeq, bufferOf(data), stamp],
          partition: `${bucket} ${c}`,
        })
        if (m !== undefined)
          writes.push({ query: insertMessage, params: [c, m, seq, stamp], partition: `m ${c} ${m}` })
        if (seq > (heads.get(c)?.seq ?? 0)) heads.set(c, change)
      }
      await database.write(writes)
      await database.write(
        [...heads.values()].map(({ c, seq, streamSeq }) => ({
          query: setHead,
          params: [seq, seq, streamSeq, c],
          partition: c,
        })),
      )
    },
    clear: () => emptyTables(database, 'timeline', generation),
    rows: () =>
      allRows(database, [
        { name: timeline, columns: 'c, seq, stream_seq, data' },
        { name: timelineMessage, columns: 'c, m, seq' },
        { name: timelineHead, columns: 'c, seq, stream_seq' },
      ]),
  }
}

const entryOf = (row: Row): TimelineEntry => {
  const data = row.data as Buffer
  return {
    seq: numberOf(row.seq),
    streamSeq: numberOf(row.stream_seq),
    data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  }
}

/**
 * A page is one slice of a partition, two at the boundary of a bucket; more only where all events of a bucket became
 * dead letters.
 */
export const cassandraTimelineQueries = (database: Database, generation: number): TimelineQueries => {
  const { timeline, timelineMessage, timelineHead } = tablesOf(generation)
  const select = `SELECT seq, stream_seq, data FROM ${timeline} WHERE c = ? AND bucket = ?`
  const after = `${select} AND seq > ? AND seq < ? LIMIT ?`
  const before = `${select} AND seq < ? ORDER BY seq DESC LIMIT ?`
  const one = `${select} AND seq = ?`
  const selectHead = `SELECT seq, stream_seq FROM ${timelineHead} WHERE c = ?`
  const selectMessage = `SELECT seq FROM ${timelineMessage} WHERE c = ? AND m = ? LIMIT 2`

  const headOf = async (c: string) => {
    const row = await database.one(selectHead, [c])
    return row && { seq: numberOf(row.seq), streamSeq: numberOf(row.stream_seq) }
  }
  /** Reads upwards from `low` to `high`, both exclusive. */
  const upwards = async (c: string, low: number, high: number, limit: number): Promise<TimelineEntry[]> => {
    const found: TimelineEntry[] = []
    let head: number | undefined
    for (let bucket = bucketOf(low + 1); ; bucket++) {
      const rows = await database.read(after, [c, bucket, low, high, limit - found.length])
      for (const row of rows) found.push(entryOf(row))
      const next = (bucket + 1) * bucketSize
      if (found.length >= limit || next >= high) return found
      head ??= (await headOf(c))?.seq ?? 0
      if (next > head) return found
    }
  }
  /** Reads downwards from `high`, exclusive. */
  const downwards = async (c: string, high: number, limit: number): Promise<TimelineEntry[]> => {
    const found: TimelineEntry[] = []
    for (let bucket = bucketOf(Math.max(high - 1, 0)); bucket >= 0 && found.length < limit; bucket--)
      for (const row of await database.read(before, [c, bucket, high, limit - found.length]))
        found.push(entryOf(row))
    return found.reverse()
  }

  return {
    async page(c, { after: low, before: high, limit }) {
      if (low !== undefined) return upwards(c, low, high ?? Number.MAX_SAFE_INTEGER, limit)
      // Clamp to the head: a client may send any number.
      const head = await headOf(c)
      if (head === undefined) return []
      return downwards(c, Math.min(high ?? Number.MAX_SAFE_INTEGER, head.seq + 1), limit)
    },
    async findMessage(c, m) {
      const [posted, deleted] = await database.read(selectMessage, [c, m])
      if (posted === undefined) return undefined
      const seq = numberOf(posted.seq)
      const row = await database.one(one, [c, bucketOf(seq), seq])
      if (row === undefined) return undefined
      const event = JSON.parse((row.data as Buffer).toString()) as ConversationEvent
      // Only the deletion exists when the message itself became a dead letter.
      if (event.type !== 'message.posted' || event.m !== m) return undefined
      return {
        m,
        seq,
        from: event.from,
        at: event.at,
        deleted: deleted !== undefined,
        fingerprint: fingerprintOf(event),
      }
    },
    head: headOf,
  }
}
