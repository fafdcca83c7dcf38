import type { DatabaseSync } from 'node:sqlite'
import type { Position } from '../../events/index.ts'

/** What a projection has applied, by stream. */
export type PositionsQuery = (projection: string) => Position[]

export const sqlitePositions = (db: DatabaseSync): PositionsQuery => {
  const select = db.prepare(
    'SELECT stream, position AS streamSeq FROM checkpoint WHERE projection = ? ORDER BY stream',
  )
  return projection => (select.all(projection) as unknown as Position[]).map(row => ({ ...row }))
}
