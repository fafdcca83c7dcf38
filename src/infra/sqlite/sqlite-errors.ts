import { ConfabError } from '../../events/index.ts'
import { ChangeRejectedError } from '../../projections/index.ts'

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
  return new ConfabError('UNAVAILABLE', `The views' database: ${reasons[code] ?? message}.`, { cause: error })
}

/** Runs a query or a write; its errors get codes. */
export const coded = <T>(work: () => T): T => {
  try {
    return work()
  } catch (error) {
    throw toStoreError(error)
  }
}
