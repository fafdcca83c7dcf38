import { backoffMs } from '../../base/backoff.ts'
import { sleep } from '../../base/sleep.ts'
import {
  type Checkpoint,
  type CheckpointStore,
  FencedError,
  type ProjectionName,
} from '../../projections/index.ts'
import { type Database, numberOf } from './database.ts'
import { streamsOf } from './generations.ts'

/** Of competing claims. Its jitter keeps them from colliding again. */
const claimBackoff = { firstMs: 50, maxMs: 1_000 }

/**
 * Stores the checkpoints of one stream in one partition together with the fencing token of its last claim. Every
 * write is conditional (Paxos), so a holder of an older token changes nothing, whatever clocks and networks do. Plain
 * writes are never mixed in: their timestamps come from another clock.
 */
export const cassandraCheckpointStore = (database: Database): CheckpointStore => {
  const select =
    'SELECT projection, generation, version, position, dead_letters FROM checkpoint WHERE stream = ?'
  const selectEpoch = 'SELECT epoch FROM checkpoint WHERE stream = ? LIMIT 1'
  const setEpoch = 'UPDATE checkpoint SET epoch = ? WHERE stream = ? IF epoch = ?'
  // A conditional statement must set a column.
  const guard = 'UPDATE checkpoint SET saved = ? WHERE stream = ? IF epoch = ?'
  const insert = `INSERT INTO checkpoint (stream, projection, generation, version, position, dead_letters)
    VALUES (?, ?, ?, ?, ?, ?)`
  const remove = 'DELETE FROM checkpoint WHERE stream = ? AND projection = ? AND generation = ? IF EXISTS'
  const known = new Set<string>()

  const enlist = async (stream: string): Promise<void> => {
    if (known.has(stream)) return
    const query = `INSERT INTO checkpoint_stream (name, stream) VALUES ('streams', ?)`
    await database.write([{ query, params: [stream], partition: 'streams' }])
    known.add(stream)
  }
  /** null: never claimed. */
  const epochOf = async (stream: string): Promise<number | null> => {
    const [row] = await database.readSerial(selectEpoch, [stream])
    return row?.epoch === undefined || row.epoch === null ? null : numberOf(row.epoch)
  }
  const load = async (): Promise<Checkpoint[]> => {
    const streams = await streamsOf(database)
    const found = await Promise.all(
      streams.map(async stream =>
        (await database.readSerial(select, [stream]))
          // A partition with only static columns yields a row without a projection.
          .filter(({ projection }) => projection !== null)
          .map(row => ({
            projection: row.projection as ProjectionName,
            generation: Number(row.generation),
            version: Number(row.version),
            stream,
            streamSeq: numberOf(row.position),
            deadLetters: numberOf(row.dead_letters),
          })),
      ),
    )
    return found.flat()
  }

  return {
    load,
    async claim(stream) {
      await enlist(stream)
      for (let attempts = 1; ; attempts++) {
        const epoch = await epochOf(stream)
        const next = (epoch ?? 0) + 1
        const other = await database.compareAndSet(
          [{ query: setEpoch, params: [next, stream, epoch] }],
          false,
        )
        if (other === undefined) return next
        await sleep(backoffMs(attempts, claimBackoff))
      }
    },
    async save(checkpoints, epoch) {
      const [first] = checkpoints
      if (first === undefined) return
      const { stream } = first
      if (checkpoints.some(one => one.stream !== stream))
        throw new Error('checkpoints of one stream are saved together')
      await enlist(stream)
      const other = await database.compareAndSet(
        [
          { query: guard, params: [new Date().toISOString(), stream, epoch === 0 ? null : epoch] },
          ...checkpoints.map(({ projection, generation, version, streamSeq, deadLetters }) => ({
            query: insert,
            params: [stream, projection, generation, version, streamSeq, deadLetters],
          })),
        ],
        true,
      )
      if (other !== undefined) throw new FencedError(stream)
    },
    async remove(projection, generation) {
      for (const one of await load())
        if (one.projection === projection && one.generation === generation)
          await database.compareAndSet(
            [{ query: remove, params: [one.stream, projection, generation] }],
            true,
          )
    },
  }
}
