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

/** Timestamp of rows that never change. */
const firstStamp = 1

/** The data of a deletion. An edit is never empty. */
const noData = Buffer.alloc(0)

/**
 * Writes one row per event, one to find a message by id, and one head per conversation. Heads are written last, so a
 * head never refers to a missing row.
 */
export const cassandraTimelineStore = (database: Database, generation: number): TimelineStore => {
  const { timeline, timelineMessage, timelineHead, timelineAmendment, timelineMedia } = tablesOf(generation)
  const insert = `INSERT INTO ${timeline} (c, bucket, seq, stream_seq, data) VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?`
  const insertMessage = `INSERT INTO ${timelineMessage} (c, m, seq) VALUES (?, ?, ?) USING TIMESTAMP ?`
  const amendmentOf = 'WHERE c = ? AND bucket = ? AND seq = ?'
  const amend = `UPDATE ${timelineAmendment} USING TIMESTAMP ? SET amended = ?, data = ? ${amendmentOf}`
  const amendData = `UPDATE ${timelineAmendment} USING TIMESTAMP ? SET data_seq = ?, amended = ?, data = ?
    ${amendmentOf}`
  const attach = `INSERT INTO ${timelineMedia} (c, media, seq) VALUES (?, ?, ?) USING TIMESTAMP ?`
  const selectMessage = `SELECT seq FROM ${timelineMessage} WHERE c = ? AND m = ? LIMIT 1`
  /**
   * Writes the amendments of a batch: the timestamp is the seq of the edit or deletion, so the last one stays, in each
   * column.
   */
  const amendments = async (changes: readonly TimelineChange[]): Promise<Write[]> => {
    const writes = changes.map(async ({ c, seq, amendment, data }): Promise<Write[]> => {
      if (amendment === undefined) return []
      const { m, isDeletion, changesData } = amendment
      const of =
        amendment.messageSeq ??
        changes.find(change => change.c === c && change.m === m && change.seq < seq)?.seq ??
        numberOf((await database.one(selectMessage, [c, m]))?.seq)
      // An amendment of a message that became a dead letter has no message.
      if (of === 0 || of >= seq) return []
      const bucket = bucketOf(of)
      const params = [seq, seq, isDeletion ? noData : bufferOf(data), c, bucket, of]
      const partition = `a ${bucket} ${c}`
      return [
        changesData
          ? { query: amendData, params: [seq, ...params], partition }
          : { query: amend, params, partition },
      ]
    })
    return (await Promise.all(writes)).flat()
  }
  const setHead = `UPDATE ${timelineHead} USING TIMESTAMP ? SET seq = ?, stream_seq = ? WHERE c = ?`
  return {
    async apply(changes) {
      const writes: Write[] = []
      const heads = new Map<string, TimelineChange>()
      for (const change of changes) {
        const { c, seq, streamSeq, m, media, data } = change
        const bucket = bucketOf(seq)
        const stamp = epochMicros - streamSeq
        writes.push({
          query: insert,
          params: [c, bucket, seq, streamSeq, bufferOf(data), stamp],
          partition: `${bucket} ${c}`,
        })
        if (m !== undefined)
          writes.push({ query: insertMessage, params: [c, m, seq, stamp], partition: `m ${c} ${m}` })
        if (media !== undefined)
          for (const id of media)
            writes.push({ query: attach, params: [c, id, seq, firstStamp], partition: `f ${c} ${id}` })
        if (seq > (heads.get(c)?.seq ?? 0)) heads.set(c, change)
      }
      if (changes.some(({ amendment }) => amendment !== undefined))
        writes.push(...(await amendments(changes)))
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
        { name: timelineAmendment, columns: 'c, seq, amended, data, data_seq' },
        { name: timelineMedia, columns: 'c, media, seq' },
      ]),
  }
}

const bytesOf = (data: Buffer): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength)

const entryOf = (row: Row): TimelineEntry => ({
  seq: numberOf(row.seq),
  streamSeq: numberOf(row.stream_seq),
  data: bytesOf(row.data as Buffer),
})

/**
 * A page is one slice of a partition, two at the boundary of a bucket; more only where all events of a bucket became
 * dead letters.
 */
export const cassandraTimelineQueries = (database: Database, generation: number): TimelineQueries => {
  const { timeline, timelineMessage, timelineHead, timelineAmendment, timelineMedia } = tablesOf(generation)
  const select = `SELECT seq, stream_seq, data FROM ${timeline} WHERE c = ? AND bucket = ?`
  const after = `${select} AND seq > ? AND seq < ? LIMIT ?`
  const before = `${select} AND seq < ? ORDER BY seq DESC LIMIT ?`
  const one = `${select} AND seq = ?`
  const selectHead = `SELECT seq, stream_seq FROM ${timelineHead} WHERE c = ?`
  const selectMessage = `SELECT seq FROM ${timelineMessage} WHERE c = ? AND m = ? LIMIT 2`

  const selectAmendments = `SELECT seq, amended, data, data_seq FROM ${timelineAmendment}
    WHERE c = ? AND bucket = ? AND seq >= ? AND seq <= ?`
  const selectMedia = `SELECT seq FROM ${timelineMedia} WHERE c = ? AND media = ?`

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
    async amendments(c, from, to) {
      const buckets = Array.from({ length: bucketOf(to) - bucketOf(from) + 1 }, (_, i) => bucketOf(from) + i)
      const found = await Promise.all(
        buckets.map(bucket => database.read(selectAmendments, [c, bucket, from, to])),
      )
      return found.flat().map(row => {
        const data = row.data as Buffer
        return {
          messageSeq: numberOf(row.seq),
          seq: numberOf(row.amended),
          data: data.length === 0 ? undefined : bytesOf(data),
          dataSeq: numberOf(row.data_seq),
        }
      })
    },
    messagesWith: async (c, mediaId) =>
      (await database.read(selectMedia, [c, mediaId])).map(({ seq }) => numberOf(seq)),
  }
}
