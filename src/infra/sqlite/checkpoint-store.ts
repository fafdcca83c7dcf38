import type { DatabaseSync } from 'node:sqlite'
import type { Checkpoint, CheckpointStore } from '../../projections/index.ts'
import { coded } from './sqlite-errors.ts'

/** Checkpoints in the database of the rows that they cover. */
export const sqliteCheckpointStore = (db: DatabaseSync): CheckpointStore => {
  const load = db.prepare(
    'SELECT projection, version, stream, position AS streamSeq, dead_letters AS deadLetters FROM checkpoint',
  )
  const save = db.prepare('INSERT OR REPLACE INTO checkpoint VALUES (?, ?, ?, ?, ?)')
  const remove = db.prepare('DELETE FROM checkpoint WHERE projection = ?')
  return {
    load: async () => coded(() => load.all() as unknown as Checkpoint[]),
    save: async checkpoints =>
      coded(() => {
        for (const { projection, version, stream, streamSeq, deadLetters } of checkpoints)
          save.run(projection, version, stream, streamSeq, deadLetters)
      }),
    remove: async projection => void coded(() => remove.run(projection)),
  }
}
