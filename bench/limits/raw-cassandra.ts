import { type Client, concurrent } from 'cassandra-driver'

export interface RawTable {
  readonly insert: string
  readonly rows: readonly (readonly unknown[])[]
}

/** Reads every row of a keyspace's views, as values to insert. */
export const readTables = async (client: Client, tables: readonly string[]): Promise<RawTable[]> => {
  const read: RawTable[] = []
  for (const table of tables) {
    const rows: unknown[][] = []
    let columns: string[] = []
    for await (const row of await client.execute(`SELECT * FROM ${table}`, [], {
      prepare: true,
      fetchSize: 1_000,
      readTimeout: 60_000,
    })) {
      columns = row.keys()
      rows.push(row.values())
    }
    const places = columns.map(() => '?').join(', ')
    if (rows.length > 0)
      read.push({ insert: `INSERT INTO ${table} (${columns.join(', ')}) VALUES (${places})`, rows })
  }
  return read
}

/**
 * Inserts the rows with the driver's own bulk execution of prepared statements: a number in flight, one row each.
 * Returns the elapsed milliseconds.
 */
export const insertTables = async (
  client: Client,
  tables: readonly RawTable[],
  atOnce: number,
): Promise<number> => {
  const startedAt = performance.now()
  for (const { insert, rows } of tables)
    await concurrent.executeConcurrent(client, insert, rows as unknown[][], {
      concurrencyLevel: atOnce,
      raiseOnFirstError: true,
    })
  return performance.now() - startedAt
}
