import type { Position } from '../../events/index.ts'
import { type Database, numberOf } from './database.ts'

/** Returns the positions of a generation of a projection, sorted by stream. */
export type PositionsQuery = (projection: string, generation: number) => Promise<Position[]>

/** Returns the streams that have checkpoints. */
export const streamsOf = async (database: Database): Promise<string[]> => {
  const rows = await database.read(`SELECT stream FROM checkpoint_stream WHERE name = 'streams'`, [])
  return rows.map(({ stream }) => String(stream))
}

export const cassandraPositions =
  (database: Database): PositionsQuery =>
  async (projection, generation) => {
    const select = 'SELECT position FROM checkpoint WHERE stream = ? AND projection = ? AND generation = ?'
    const streams = await streamsOf(database)
    const found = await Promise.all(
      streams.map(async stream => {
        const row = await database.one(select, [stream, projection, generation])
        return row === undefined ? [] : [{ stream, streamSeq: numberOf(row.position) }]
      }),
    )
    return found.flat()
  }
