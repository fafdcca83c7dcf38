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

/** Makes the tables of a generation of a view that are not there. Several workers may do so at once. */
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

/** Forgets all rows of a generation of a view. Cassandra truncates only when all nodes are up. */
export const emptyTables = (
  database: Database,
  projection: CassandraProjection,
  generation: number,
): Promise<void> =>
  coded(database, async () => {
    // Not by deletes: a row's timestamp is a sequence number, so what is deleted now could never be written again.
    for (const { name } of viewTables(projection, generation))
      await database.client.execute(`TRUNCATE ${name}`, [], {
        prepare: false,
        readTimeout: 70_000,
        isIdempotent: true,
      })
  })

/** Removes the tables of a generation of a view; those of generation 1, which every reader may count on, are emptied. */
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
