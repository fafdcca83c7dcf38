import { accessSync, constants, existsSync, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { ConfabError } from '../../events/index.ts'
import { isCurrent, migrate } from './migrations.ts'
import { toStoreError } from './sqlite-errors.ts'

/** How long a connection waits for another's write, ms. */
const busyMs = 2_000

/**
 * synchronous NORMAL: a power failure may cost the last transactions, never the database's consistency. Their checkpoints go with them, so the events behind
 * them are applied again. A larger WAL between checkpoints means that a hot page is written to the database once where it was 8 times: 1.7 times the speed.
 */
const writerPragmas = `
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = NORMAL;
  PRAGMA cache_size = -65536;
  PRAGMA wal_autocheckpoint = 8000;
  PRAGMA journal_size_limit = 67108864;
  PRAGMA temp_store = MEMORY;
`

const openError = (path: string, error: unknown): unknown => {
  if (ConfabError.is(error)) return error
  const cause = toStoreError(error)
  if (ConfabError.is(cause))
    return new ConfabError('UNAVAILABLE', `${cause.message} (${path})`, { cause: error })
  const { code } = (error ?? {}) as NodeJS.ErrnoException
  if (typeof code === 'string' && /^E[A-Z]+$/.test(code))
    return new ConfabError('UNAVAILABLE', `The views' folder cannot be used: ${(error as Error).message}`, {
      cause: error,
    })
  return cause
}

/**
 * Opens the views' database for writing, making the folder, the file and its schema as needed. One process writes at a time.
 * Throws ConfabError UNAVAILABLE when the folder or the file can't be used, NewerDatabaseError.
 */
export const openWriter = (path: string): DatabaseSync => {
  let db: DatabaseSync | undefined
  try {
    mkdirSync(dirname(path), { recursive: true })
    // SQLite would only say that it cannot open the file.
    accessSync(dirname(path), constants.W_OK)
    db = new DatabaseSync(path, { timeout: busyMs })
    db.exec(writerPragmas)
    migrate(db)
    return db
  } catch (error) {
    if (db?.isOpen) db.close()
    throw openError(path, error)
  }
}

/** Opens it read-only, as it stands between two transactions of the writer; makes it first when it is not there. Throws as `openWriter` does. */
export const openReader = (path: string): DatabaseSync => {
  let db: DatabaseSync | undefined
  try {
    if (!existsSync(path)) openWriter(path).close()
    db = new DatabaseSync(path, { readOnly: true, timeout: busyMs })
    if (!isCurrent(db)) {
      db.close()
      openWriter(path).close()
      db.open()
    }
    db.exec('PRAGMA cache_size = -32768; PRAGMA temp_store = MEMORY;')
    return db
  } catch (error) {
    if (db?.isOpen) db.close()
    throw openError(path, error)
  }
}
