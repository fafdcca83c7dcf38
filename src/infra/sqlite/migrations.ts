import type { DatabaseSync } from 'node:sqlite'
import { projectionNames } from '../../projections/index.ts'
import { addition, firstTables, generationsIn } from './view-tables.ts'

/**
 * The steps of the schema; `PRAGMA user_version` counts the applied ones. A released step never changes: rows survive
 * it, and what a new version of a projection needs is rebuilt from the log.
 */
const steps: readonly (string | ((db: DatabaseSync) => string))[] = [
  `
  CREATE TABLE checkpoint (
    projection TEXT NOT NULL, version INTEGER NOT NULL, stream TEXT NOT NULL,
    position INTEGER NOT NULL, dead_letters INTEGER NOT NULL,
    PRIMARY KEY (projection, version, stream)
  ) STRICT, WITHOUT ROWID;
  ${projectionNames.map(projection => firstTables(projection, 1)).join('')}
  `,
  `
  CREATE TABLE generation_checkpoint (
    projection TEXT NOT NULL, generation INTEGER NOT NULL, stream TEXT NOT NULL,
    version INTEGER NOT NULL, position INTEGER NOT NULL, dead_letters INTEGER NOT NULL,
    PRIMARY KEY (projection, generation, stream)
  ) STRICT, WITHOUT ROWID;
  INSERT INTO generation_checkpoint SELECT projection, 1, stream, version, position, dead_letters FROM checkpoint;
  DROP TABLE checkpoint;
  ALTER TABLE generation_checkpoint RENAME TO checkpoint;
  CREATE TABLE claim (stream TEXT NOT NULL PRIMARY KEY, epoch INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  `,
  addition('inbox', 1, 0),
  // Followers of channels: new rows set the column; existing rows stay valid.
  db =>
    [
      ...generationsIn(db, 'inbox').map(generation => addition('inbox', generation, 1)),
      ...generationsIn(db, 'roster').map(generation => addition('roster', generation, 0)),
    ].join(''),
  // Deletions and arrivals in the inbox: its next version writes them, rows of earlier versions stay readable.
  db =>
    generationsIn(db, 'inbox')
      .map(generation => addition('inbox', generation, 2))
      .join(''),
  // Hidden and archived conversations: as above.
  db =>
    generationsIn(db, 'inbox')
      .map(generation => addition('inbox', generation, 3))
      .join(''),
  // Edits, deletions and files in the timeline: its next version writes them.
  db =>
    generationsIn(db, 'timeline')
      .map(generation => addition('timeline', generation, 0))
      .join(''),
  // Invitations: the next version of the roster writes them.
  db =>
    generationsIn(db, 'roster')
      .map(generation => addition('roster', generation, 1))
      .join(''),
]

/** Thrown when a newer build created the database. */
export class NewerDatabaseError extends Error {
  constructor(found: number) {
    super(
      `The views' database has schema ${found}, this build knows ${steps.length}: run the newer build, or remove the file.`,
    )
    this.name = 'NewerDatabaseError'
  }
}

const stepsOf = (db: DatabaseSync): number =>
  Number(db.prepare('PRAGMA user_version').get()?.user_version ?? 0)

/** Whether a database has the current schema. */
export const isCurrent = (db: DatabaseSync): boolean => stepsOf(db) === steps.length

/** Brings a database to the current schema. Idempotent, and safe to run in two processes at once. */
export const migrate = (db: DatabaseSync): void => {
  if (isCurrent(db)) return
  db.exec('BEGIN IMMEDIATE')
  try {
    const from = stepsOf(db)
    if (from > steps.length) throw new NewerDatabaseError(from)
    for (const step of steps.slice(from)) db.exec(typeof step === 'string' ? step : step(db))
    db.exec(`PRAGMA user_version = ${steps.length}`)
    db.exec('COMMIT')
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK')
    throw error
  }
}
