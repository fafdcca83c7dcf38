import type { DatabaseSync } from 'node:sqlite'
import type { Position } from '../../events/index.ts'
import { type Checkpoint, type CheckpointStore, FencedError } from '../../projections/index.ts'
import { coded } from './database.ts'

/** Stores checkpoints in the same database as their rows. */
export const sqliteCheckpointStore = (db: DatabaseSync): CheckpointStore => {
  const load = db.prepare(`
    SELECT projection, generation, version, stream, position AS streamSeq, dead_letters AS deadLetters FROM checkpoint`)
  const save = db.prepare(`
    INSERT OR REPLACE INTO checkpoint (projection, generation, version, stream, position, dead_letters)
    VALUES (?, ?, ?, ?, ?, ?)`)
  const remove = db.prepare('DELETE FROM checkpoint WHERE projection = ? AND generation = ?')
  const claim = db.prepare(`
    INSERT INTO claim (stream, epoch) VALUES (?, 1) ON CONFLICT DO UPDATE SET epoch = epoch + 1 RETURNING epoch`)
  const claimed = db.prepare('SELECT epoch FROM claim WHERE stream = ?')
  return {
    load: async () => coded(() => (load.all() as unknown as Checkpoint[]).map(row => ({ ...row }))),
    claim: async stream => coded(() => Number(claim.get(stream)?.epoch)),
    save: async (checkpoints, epoch) =>
      coded(() => {
        for (const { stream } of checkpoints)
          if (Number(claimed.get(stream)?.epoch ?? 0) !== epoch) throw new FencedError(stream)
        for (const { projection, generation, version, stream, streamSeq, deadLetters } of checkpoints)
          save.run(projection, generation, version, stream, streamSeq, deadLetters)
      }),
    remove: async (projection, generation) => void coded(() => remove.run(projection, generation)),
  }
}

/** Returns the positions of a generation of a projection, by stream. */
export type PositionsQuery = (projection: string, generation: number) => Position[]

export const sqlitePositions = (db: DatabaseSync): PositionsQuery => {
  const select = db.prepare(
    'SELECT stream, position AS streamSeq FROM checkpoint WHERE projection = ? AND generation = ? ORDER BY stream',
  )
  return (projection, generation) =>
    (select.all(projection, generation) as unknown as Position[]).map(row => ({ ...row }))
}
