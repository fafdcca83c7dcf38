import type { DatabaseSync } from 'node:sqlite'
import type { Position } from '../../events/index.ts'

/** Returns the positions of a generation of a projection, by stream. */
export type PositionsQuery = (projection: string, generation: number) => Position[]

export const sqlitePositions = (db: DatabaseSync): PositionsQuery => {
  const select = db.prepare(
    'SELECT stream, position AS streamSeq FROM checkpoint WHERE projection = ? AND generation = ? ORDER BY stream',
  )
  return (projection, generation) =>
    (select.all(projection, generation) as unknown as Position[]).map(row => ({ ...row }))
}
