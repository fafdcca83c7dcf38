import { types } from 'cassandra-driver'
import type { ViewRow } from '../../projections/index.ts'
import type { Database, Row } from './database.ts'

const plain = (value: unknown): unknown =>
  value instanceof types.Long ? value.toNumber() : Buffer.isBuffer(value) ? value.toString('base64') : value

const contentOf = (table: string, row: Row): string =>
  `${table} ${JSON.stringify(Object.entries(row).map(([name, value]) => [name, plain(value)]))}`

/**
 * Yields all rows of tables that have a column `c`, by a scan of the whole ring. The number given with each table is
 * its page size.
 */
export async function* allRows(
  database: Database,
  tables: readonly { readonly name: string; readonly columns: string }[],
): AsyncGenerator<readonly ViewRow[]> {
  for (const { name, columns } of tables) {
    const kind = name.replace(/_\d+$/, '')
    for await (const rows of database.pages(`SELECT ${columns} FROM ${name}`, []))
      yield rows.map(row => ({ c: String(row.c), content: contentOf(kind, row) }))
  }
}
