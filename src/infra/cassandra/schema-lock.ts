import { createHash, randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Client, types } from 'cassandra-driver'
import { CassandraError, CassandraProblem } from './cassandra-error.ts'

/** A lock whose owner died frees itself after this, s. Longer than any one change of the schema takes. */
const ttlSeconds = 60
const waitMs = 120_000
const pollMs = 150
const agreementMs = 30_000
/** Changes of the schema take their time, on a busy cluster above all, ms. */
const changeMs = 60_000

const serial = {
  prepare: true,
  consistency: types.consistencies.quorum,
  serialConsistency: types.consistencies.serial,
  isIdempotent: false,
}

/**
 * The same id for the same table, so that two nodes that make it at once make one table. Only for tables that are never dropped: a node that was away while one is
 * dropped and made again could not tell them apart.
 */
const fixedId = (keyspace: string, table: string): string => {
  const hex = createHash('sha256').update(`${keyspace}.${table}`).digest('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

/** Left out of the driver's types. @see https://docs.datastax.com/en/developer/nodejs-driver/4.8/api/module.metadata/class.Metadata/#checkschemaagreement */
interface WithAgreement {
  checkSchemaAgreement(): Promise<boolean>
}

/** Waits until all nodes that are up know the same schema. Rejects with CassandraError. */
const untilAgreed = async (client: Client): Promise<void> => {
  for (const until = Date.now() + agreementMs; ; await sleep(pollMs)) {
    if (await (client.metadata as unknown as WithAgreement).checkSchemaAgreement()) return
    if (Date.now() > until)
      throw new CassandraError(
        CassandraProblem.schema,
        'the nodes of Cassandra do not agree on the schema: "nodetool describecluster" shows which one differs',
      )
  }
}

/** Changes the schema by one statement, and waits until all nodes that are up have it. */
export const changeSchema = async (client: Client, cql: string): Promise<void> => {
  await client.execute(cql, [], { prepare: false, readTimeout: changeMs, isIdempotent: true })
  await untilAgreed(client)
}

/** Makes the tables that lock and version are kept in. Safe at once: they have fixed ids. */
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
 * Runs `work` while nobody else changes this keyspace's tables: two nodes that make a table at once would make two of it. Rejects with CassandraError when the lock
 * is not had within two minutes.
 */
export const whileSchemaLocked = async <T>(
  client: Client,
  keyspace: string,
  work: () => Promise<T>,
): Promise<T> => {
  const table = `${keyspace}.schema_lock`
  const owner = randomUUID()
  const take = `INSERT INTO ${table} (name, owner) VALUES ('schema', ?) IF NOT EXISTS USING TTL ${ttlSeconds}`
  for (const until = Date.now() + waitMs; ; await sleep(pollMs * (0.5 + Math.random()))) {
    const row = (await client.execute(take, [owner], serial)).first()
    // An answer that got lost may have been a yes.
    if (row?.['[applied]'] === true || row?.owner === owner) break
    if (Date.now() > until)
      throw new CassandraError(
        CassandraProblem.schema,
        `somebody else has been changing the tables of ${keyspace} for two minutes`,
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
    // Should it not be freed, it frees itself.
    await client
      .execute(`DELETE FROM ${table} WHERE name = 'schema' IF owner = ?`, [owner], serial)
      .catch(() => {})
  }
}
