import { toStartError } from './cassandra-error.ts'
import type { Database } from './database.ts'
import { changeSchema, whileSchemaLocked } from './schema-lock.ts'
import { type CassandraProjection, viewTables } from './view-tables.ts'

const coded = async (database: Database, work: () => Promise<void>): Promise<void> => {
  try {
    await work()
  } catch (error) {
    throw toStartError(error, database.client.hosts.keys(), database.keyspace)
  }
}

const existing = async ({ client, keyspace }: Database): Promise<Set<string>> => {
  const cql = 'SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?'
  const { rows } = await client.execute(cql, [keyspace], { prepare: true, isIdempotent: true })
  return new Set(rows.map(row => String(row.table_name)))
}

/** Creates the missing tables of a generation of a view. Several workers may call this at the same time. */
export const makeTables = (
  database: Database,
  projection: CassandraProjection,
  generation: number,
): Promise<void> =>
  coded(database, async () => {
    const tables = viewTables(projection, generation)
    const has = await existing(database)
    if (tables.every(({ name }) => has.has(name))) return
    await whileSchemaLocked(database.client, database.keyspace, async () => {
      for (const { create } of tables) await changeSchema(database.client, create)
    })
  })

/** Deletes all rows of a generation of a view. Cassandra truncates only while all nodes are up. */
export const emptyTables = (
  database: Database,
  projection: CassandraProjection,
  generation: number,
): Promise<void> =>
  coded(database, async () => {
    // Truncate instead of deleting: a row's timestamp is a sequence number, so a deleted row could never be written
    // again.
    for (const { name } of viewTables(projection, generation))
      await database.client.execute(`TRUNCATE ${name}`, [], {
        prepare: false,
        readTimeout: 70_000,
        isIdempotent: true,
      })
  })

/**
 * Drops the tables of a generation of a view. The tables of generation 1 are emptied instead, because every reader relies
 * on them.
 */
export const dropTables = (
  database: Database,
  projection: CassandraProjection,
  generation: number,
): Promise<void> =>
  generation === 1
    ? emptyTables(database, projection, generation)
    : coded(database, () =>
        whileSchemaLocked(database.client, database.keyspace, async () => {
          for (const { name } of viewTables(projection, generation))
            await changeSchema(database.client, `DROP TABLE IF EXISTS ${name}`)
        }),
      )
