import { accessSync, constants, existsSync, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { ConfabError, operatorText } from '../../events/index.ts'
import { ChangeRejectedError } from '../../projections/index.ts'
import { isCurrent, migrate } from './migrations.ts'

/** Primary result codes of SQLite. @see https://sqlite.org/rescode.html */
const reasons: Readonly<Record<number, string>> = {
  5: 'it is locked by another process',
  8: 'it cannot be written: it is read-only',
  10: 'the disk reports an I/O error',
  11: 'it is damaged: remove it, and confab rebuilds it from the log',
  13: 'the disk is full',
  14: 'it cannot be opened or created',
  26: 'it is not an SQLite database: remove it, and confab rebuilds it from the log',
}
/** TOOBIG, CONSTRAINT, MISMATCH: the row is at fault, not the database. */
const rejections: ReadonlySet<number> = new Set([18, 19, 20])

const codeOf = (error: unknown): number | undefined => {
  const code = (error as { errcode?: unknown } | null)?.errcode
  return typeof code === 'number' ? code & 0xff : undefined
}

const unavailable = (detail: string, cause: unknown): ConfabError =>
  new ConfabError('UNAVAILABLE', 'The views cannot be read. Try again.', { detail, cause })

/**
 * Translates an error of a database call: ChangeRejectedError for a row that can never be stored, else ConfabError
 * UNAVAILABLE. Other errors are returned unchanged.
 */
export const toStoreError = (error: unknown): unknown => {
  const code = codeOf(error)
  if (code === undefined) {
    const { code: name } = (error ?? {}) as { code?: unknown }
    // The value does not fit the column's type.
    if (name === 'ERR_INVALID_ARG_TYPE' || name === 'ERR_INVALID_ARG_VALUE')
      return new ChangeRejectedError((error as Error).message, error)
    return error
  }
  const message = (error as Error).message
  if (rejections.has(code)) return new ChangeRejectedError(message, error)
  return unavailable(`The views' database: ${reasons[code] ?? message}.`, error)
}

/** Runs a query or a write; its errors get codes. */
export const coded = <T>(work: () => T): T => {
  try {
    return work()
  } catch (error) {
    throw toStoreError(error)
  }
}

/** A prepared query. */
export interface Query<R> {
  all(...values: SQLInputValue[]): R[]
  get(...values: SQLInputValue[]): R | undefined
}

/**
 * Prepares a query whose rows are arrays of the columns. Rows as objects cost about twice as much: node:sqlite names
 * every column of every row.
 */
export const rowsOf = <R extends readonly unknown[]>(db: DatabaseSync, sql: string): Query<R> => {
  const statement = db.prepare(sql)
  statement.setReturnArrays(true)
  return {
    all: (...values) => statement.all(...values) as unknown as R[],
    get: (...values) => statement.get(...values) as unknown as R | undefined,
  }
}

/** How long a connection waits for another connection's write, ms. */
const busyMs = 2_000

/**
 * synchronous NORMAL: a power failure may lose the last transactions, never the consistency. Their checkpoints are
 * lost with them, so the events are applied again. A larger WAL between checkpoints writes a hot page to the database
 * once instead of 8 times: 1.7 times the speed.
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
  if (ConfabError.is(cause)) return unavailable(`${operatorText(cause)} (${path})`, error)
  const { code } = (error ?? {}) as NodeJS.ErrnoException
  if (typeof code === 'string' && /^E[A-Z]+$/.test(code))
    return unavailable(`The views' folder cannot be used: ${(error as Error).message}`, error)
  return cause
}

/**
 * Opens the views' database for writing and creates folder, file and schema as needed. One process writes at a time.
 * Throws ConfabError UNAVAILABLE when the folder or file cannot be used, and NewerDatabaseError.
 */
export const openWriter = (path: string): DatabaseSync => {
  let db: DatabaseSync | undefined
  try {
    mkdirSync(dirname(path), { recursive: true })
    // SQLite would only report that it cannot open the file.
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

/**
 * Opens the database read-only, as of the writer's last transaction; creates it when it does not exist. Throws as
 * `openWriter` does.
 */
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
