import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { openWriter } from '../../src/infra/sqlite/database.ts'
import { indexed, tagsOf } from '../../src/infra/sqlite/search-index.ts'

export interface TableRows {
  readonly insert: string
  readonly rows: readonly (readonly SQLInputValue[])[]
}

const batch = 1000

const readable = (value: SQLInputValue): SQLInputValue =>
  typeof value === 'bigint' && Number.isSafeInteger(Number(value)) ? Number(value) : value

/**
 * Reads every row of a views' database, as values to insert. The search index stores no words, so they are computed
 * again from its messages.
 */
export const readRows = (path: string): TableRows[] => {
  const db = new DatabaseSync(path, { readOnly: true })
  const names = db
    .prepare(
      `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT GLOB 'search_words*' AND name NOT GLOB 'sqlite_*'`,
    )
    .all()
    .map(({ name }) => String(name))
  const tables = names.map((name): TableRows => {
    const select = db.prepare(`SELECT * FROM ${name}`)
    select.setReadBigInts(true)
    const rows = select.all().map(row => Object.values(row).map(readable))
    const places = select.columns().map(() => '?')
    return { insert: `INSERT INTO ${name} VALUES (${places.join(', ')})`, rows }
  })
  const messages = db.prepare(
    'SELECT id, c, sender, media, text FROM search_message WHERE text IS NOT NULL ORDER BY id',
  )
  messages.setReadBigInts(true)
  const words = messages
    .all()
    .map(({ id, c, sender, media, text }): SQLInputValue[] => [
      id as bigint,
      indexed(String(text)),
      tagsOf({ c: String(c), sender: String(sender), media: media === 1n }),
    ])
  db.close()
  return [
    ...tables,
    { insert: 'INSERT INTO search_words (rowid, words, tags) VALUES (?, ?, ?)', rows: words },
  ]
}

/**
 * Inserts the rows into an empty database of the same schema with prepared inserts in transactions. Returns the
 * elapsed milliseconds.
 */
export const insertRows = (path: string, tables: readonly TableRows[]): number => {
  const db = openWriter(path)
  const prepared = tables.map(({ insert, rows }): [StatementSync, TableRows['rows']] => [
    db.prepare(insert),
    rows,
  ])
  const most = Math.max(...tables.map(({ rows }) => rows.length))
  const startedAt = performance.now()
  for (let from = 0; from < most; from += batch) {
    db.exec('BEGIN')
    for (const [statement, rows] of prepared)
      for (const row of rows.slice(from, from + batch)) statement.run(...row)
    db.exec('COMMIT')
  }
  const took = performance.now() - startedAt
  db.close()
  return took
}
