import { createHash, randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Client, types } from 'cassandra-driver'
import { CassandraError, CassandraProblem } from './cassandra-error.ts'

/** The lock of a process that died expires after this, s. Longer than any single schema change takes. */
const ttlSeconds = 60
const waitMs = 120_000
const pollMs = 150
const agreementMs = 30_000
/** Timeout of a schema change, ms: they are slow on a busy cluster. */
const changeMs = 60_000

const serial = {
  prepare: true,
  consistency: types.consistencies.quorum,
  serialConsistency: types.consistencies.serial,
  isIdempotent: false,
}

/**
 * Returns a fixed id for a table, so two nodes that create it concurrently create one table. Only for tables that are
 * never dropped: a node that was down during a drop and a re-creation could not distinguish them.
 */
const fixedId = (keyspace: string, table: string): string => {
  const hex = createHash('sha256').update(`${keyspace}.${table}`).digest('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

/**
 * Missing in the driver's types. @see
 * https://docs.datastax.com/en/developer/nodejs-driver/4.8/api/module.metadata/class.Metadata/#checkschemaagreement
 */
interface WithAgreement {
  checkSchemaAgreement(): Promise<boolean>
}

/** Waits until all live nodes agree on the schema. Rejects with CassandraError. */
const untilAgreed = async (client: Client): Promise<void> => {
  for (const until = performance.now() + agreementMs; ; await sleep(pollMs)) {
    if (await (client.metadata as unknown as WithAgreement).checkSchemaAgreement()) return
    if (performance.now() > until)
      throw new CassandraError(
        CassandraProblem.schema,
        'the nodes of Cassandra do not agree on the schema: "nodetool describecluster" shows which one differs',
      )
  }
}

/** Runs one schema statement and waits until all live nodes have applied it. */
export const changeSchema = async (client: Client, cql: string): Promise<void> => {
  await client.execute(cql, [], { prepare: false, readTimeout: changeMs, isIdempotent: true })
  await untilAgreed(client)
}

/** Creates the tables of the lock and the version. Safe concurrently, because they have fixed ids. */
export const makeSchemaTables = async (client: Client, keyspace: string): Promise<void> => {
  for (const [table, columns] of [
    ['schema_lock', 'name text PRIMARY KEY, owner text'],
    ['schema_version', 'name text PRIMARY KEY, version int'],
  ] as const)
    await changeSchema(
      client,
      `CREATE TABLE IF NOT EXISTS ${keyspace}.${table} (${columns}) WITH id = ${fixedId(keyspace, table)}`,
    )
}

/**
 * Runs `work` while no other process changes this keyspace's tables: two nodes that create a table concurrently would
 * create two. Rejects with CassandraError when the lock is not acquired within two minutes.
 */
export const whileSchemaLocked = async <T>(
  client: Client,
  keyspace: string,
  work: () => Promise<T>,
): Promise<T> => {
  const table = `${keyspace}.schema_lock`
  const owner = randomUUID()
  const take = `INSERT INTO ${table} (name, owner) VALUES ('schema', ?) IF NOT EXISTS USING TTL ${ttlSeconds}`
  for (const until = performance.now() + waitMs; ; await sleep(pollMs * (0.5 + Math.random()))) {
    const row = (await client.execute(take, [owner], serial)).first()
    // The lost answer may have been a success.
    if (row?.['[applied]'] === true || row?.owner === owner) break
    if (performance.now() > until)
      throw new CassandraError(
        CassandraProblem.schema,
        `another process has held the schema lock of ${keyspace} for two minutes: try again when it has ended`,
      )
  }
  const renew = setInterval(() => {
    const cql = `UPDATE ${table} USING TTL ${ttlSeconds} SET owner = ? WHERE name = 'schema' IF owner = ?`
    client.execute(cql, [owner, owner], serial).catch(() => {})
  }, 15_000).unref()
  try {
    await untilAgreed(client)
    return await work()
  } finally {
    clearInterval(renew)
    // A lock that is not released expires.
    await client
      .execute(`DELETE FROM ${table} WHERE name = 'schema' IF owner = ?`, [owner], serial)
      .catch(() => {})
  }
}
