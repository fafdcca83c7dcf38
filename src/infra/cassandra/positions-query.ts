import type { Position } from '../../events/index.ts'
import { type Database, numberOf } from './database.ts'

/** What a generation of a projection has applied, by stream, sorted by it. */
export type PositionsQuery = (projection: string, generation: number) => Promise<Position[]>

/** The streams that there are checkpoints of. */
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
