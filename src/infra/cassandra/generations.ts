import { types } from 'cassandra-driver'
import type { Position } from '../../events/index.ts'
import type { ViewRow } from '../../projections/index.ts'
import { toStartError } from './cassandra-error.ts'
import { type Database, numberOf, type Row } from './database.ts'
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
 * Drops the tables of a generation of a view. Generation 1 is emptied instead, because every reader relies
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

/** Returns the positions of a generation of a projection, sorted by stream. */
export type PositionsQuery = (projection: string, generation: number) => Promise<Position[]>

/** Returns the streams that have checkpoints. */
export const streamsOf = async (database: Database): Promise<string[]> => {
  const rows = await database.read(`SELECT stream FROM checkpoint_stream WHERE name = 'streams'`, [])
  return rows.map(({ stream }) => String(stream))
}

export const cassandraPositions =
  (database: Database): PositionsQuery =>
  async (projection, generation) => {
    const select = 'SELECT position FROM checkpoint WHERE stream = ? AND projection = ? AND generation = ?'
    const streams = await streamsOf(database)
    const found = await Promise.all(
      streams.map(async stream => {
        const row = await database.one(select, [stream, projection, generation])
        return row === undefined ? [] : [{ stream, streamSeq: numberOf(row.position) }]
      }),
    )
    return found.flat()
  }
