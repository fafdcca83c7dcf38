import type { TimelineChange, TimelineStore } from '../../projections/index.ts'
import { allRows } from './all-rows.ts'
import { bufferOf, type Database, type Write } from './database.ts'
import { emptyTables } from './generations.ts'
import { bucketOf, tablesOf } from './view-tables.ts'

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
