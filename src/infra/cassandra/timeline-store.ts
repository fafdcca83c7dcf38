import type { TimelineChange, TimelineStore } from '../../projections/index.ts'
import { allRows } from './all-rows.ts'
import { bufferOf, type Database, type Write } from './database.ts'
import { emptyTables } from './generations.ts'
import { bucketOf, tablesOf } from './view-tables.ts'

/**
 * Of two events at one place the earlier in the stream stands: the greater the stream sequence, the older the row's timestamp. Counted back from a point in the past,
 * January 2020 in microseconds: servers may be set to refuse times that are yet to come.
 */
const epochMicros = 1_577_836_800_000_000

/** One row an event, one by which its message is found, one head a conversation: those are written last, so that a head never promises what is not there. */
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
