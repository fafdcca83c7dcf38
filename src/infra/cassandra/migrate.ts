import { connect } from 'node:net'
import { type Client, types } from 'cassandra-driver'
import { CassandraError, CassandraProblem, toStartError } from './cassandra-error.ts'
import { connectDriver } from './database.ts'
import type { CassandraOptions } from './options.ts'
import { changeSchema, makeSchemaTables, whileSchemaLocked } from './schema-lock.ts'
import { cassandraProjections, viewTables } from './view-tables.ts'

/** A column to add to the tables of all generations of a view. Tables that this build creates have it already. */
interface AddedColumn {
  readonly table: string
  readonly column: string
}

/** A table to add to all generations of a view, by the name of a table that each of them has. */
interface AddedTable {
  readonly beside: string
  /** Columns and primary key. */
  readonly added: string
  readonly columns: string
}

/**
 * The steps of the schema; `schema_version` counts the applied ones. Statements are idempotent, so an interrupted
 * step is repeated. A released step never changes.
 */
const steps: readonly (readonly (string | AddedColumn | AddedTable)[])[] = [
  [
    // One partition per stream: the fencing token and the checkpoints are compared and set in one statement.
    `CREATE TABLE IF NOT EXISTS checkpoint (
      stream text, projection text, generation int, epoch bigint static, saved text static,
      version int, position bigint, dead_letters bigint, PRIMARY KEY ((stream), projection, generation))`,
    'CREATE TABLE IF NOT EXISTS checkpoint_stream (name text, stream text, PRIMARY KEY ((name), stream))',
    ...cassandraProjections.flatMap(projection => viewTables(projection, 1).map(({ create }) => create)),
  ],
  // Followers of channels: new rows set the column; existing rows stay valid.
  ['inbox_entry', 'roster', 'roster_user'].map(table => ({ table, column: 'follows boolean' })),
  // Deletions and arrivals in the inbox: its next version writes them, rows of earlier versions stay readable.
  [
    {
      beside: 'inbox_conversation',
      added: 'inbox_deletion',
      columns: 'c text, seq bigint, PRIMARY KEY ((c), seq)',
    },
    { table: 'inbox_entry', column: 'arrived text' },
  ],
  // Hidden and archived conversations: as above.
  [
    { table: 'inbox_entry', column: 'shown_from bigint' },
    { table: 'inbox_conversation', column: 'archived boolean' },
  ],
  // Edits, deletions and files in the timeline: its next version writes them.
  [
    {
      beside: 'timeline',
      added: 'timeline_amendment',
      columns: `c text, bucket int, seq bigint, amended bigint, data blob, data_seq bigint,
        PRIMARY KEY ((c, bucket), seq)`,
    },
    {
      beside: 'timeline',
      added: 'timeline_media',
      columns: 'c text, media text, seq bigint, PRIMARY KEY ((c, media), seq)',
    },
  ],
  // Invitations: the next version of the roster writes them.
  [{ table: 'roster_user', column: 'invited boolean' }],
]

/** The schema version that this build reads and writes. */
export const schemaVersion = steps.length

export interface MigrateOptions {
  /**
   * Replicas of each row in the data centre. Not given: an existing keyspace keeps its number, a new one gets one per
   * node, 3 at most.
   */
  readonly replicationFactor?: number | undefined
}

export interface Migrated {
  readonly keyspace: string
  /** Schema version before the migration; 0 for a missing or empty keyspace. */
  readonly from: number
  readonly to: number
  readonly created: boolean
  /** Whether the number of replicas changed: `nodetool repair --full` then creates the missing ones. */
  readonly replicationChanged: boolean
}

const reachMs = 2_000

const quorum = { prepare: false, isIdempotent: true, consistency: types.consistencies.localQuorum }

/** Returns a keyspace's schema version; 0 if it has none. */
const versionOf = async (client: Client, keyspace: string): Promise<number> => {
  const cql = `SELECT version FROM ${keyspace}.schema_version WHERE name = 'confab'`
  return Number((await client.execute(cql, [], quorum)).first()?.version ?? 0)
}

const hasTable = async (client: Client, keyspace: string, table: string): Promise<boolean> => {
  const cql = 'SELECT table_name FROM system_schema.tables WHERE keyspace_name = ? AND table_name = ?'
  return (await client.execute(cql, [keyspace, table], { prepare: true, isIdempotent: true })).rowLength > 0
}

/** Returns a table of a view and its counterparts in other generations. */
const generationsOf = async (client: Client, keyspace: string, table: string): Promise<string[]> => {
  const cql = 'SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?'
  const { rows } = await client.execute(cql, [keyspace], { prepare: true, isIdempotent: true })
  const isOne = new RegExp(`^${table}(_\\d+)?$`)
  return rows.map(row => String(row.table_name)).filter(name => isOne.test(name))
}

/** Returns replicas by data centre; undefined when the keyspace does not exist. */
const replicationOf = async (
  client: Client,
  keyspace: string,
): Promise<Record<string, string> | undefined> => {
  const cql = 'SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = ?'
  const row = (await client.execute(cql, [keyspace], { prepare: true, isIdempotent: true })).first()
  return row?.replication as Record<string, string> | undefined
}

const nodesIn = (client: Client, dataCenter: string): number =>
  client.hosts.values().filter(host => host.datacenter === dataCenter).length

/** Throws CassandraError when only a newer build can use the keyspace. */
const refuseNewer = (version: number, keyspace: string): void => {
  if (version > schemaVersion)
    throw new CassandraError(
      CassandraProblem.newer,
      `the keyspace ${keyspace} has schema ${version}, this build supports up to ${schemaVersion}: use the newer confab`,
    )
}

/**
 * Creates the keyspace and tables, or brings them to this build's version. Idempotent, and safe to run concurrently.
 * Rejects with CassandraError.
 */
export const migrateCassandra = async (
  options: CassandraOptions,
  { replicationFactor }: MigrateOptions = {},
): Promise<Migrated> => {
  const { keyspace, dataCenter } = options
  const client = await connectDriver(options)
  try {
    const before = await replicationOf(client, keyspace)
    const copies = replicationFactor ?? Math.min(3, nodesIn(client, dataCenter))
    const replication = (others: Record<string, string>) =>
      JSON.stringify({
        ...others,
        class: 'NetworkTopologyStrategy',
        [dataCenter]: String(copies),
      }).replaceAll('"', "'")
    if (before === undefined)
      await changeSchema(
        client,
        `CREATE KEYSPACE IF NOT EXISTS ${keyspace} WITH replication = ${replication({})}`,
      )
    const replicationChanged =
      before !== undefined &&
      replicationFactor !== undefined &&
      before[dataCenter] !== String(replicationFactor)
    await makeSchemaTables(client, keyspace)
    return await whileSchemaLocked(client, keyspace, async () => {
      const from = await versionOf(client, keyspace)
      refuseNewer(from, keyspace)
      for (const [i, statements] of steps.entries()) {
        if (i < from) continue
        for (const statement of statements)
          if (typeof statement === 'string')
            await changeSchema(
              client,
              statement.replace('CREATE TABLE IF NOT EXISTS ', `CREATE TABLE IF NOT EXISTS ${keyspace}.`),
            )
          else if ('added' in statement)
            for (const table of await generationsOf(client, keyspace, statement.beside)) {
              const name = table.replace(statement.beside, statement.added)
              await changeSchema(
                client,
                `CREATE TABLE IF NOT EXISTS ${keyspace}.${name} (${statement.columns})`,
              )
            }
          else
            for (const table of await generationsOf(client, keyspace, statement.table))
              await changeSchema(
                client,
                `ALTER TABLE ${keyspace}.${table} ADD IF NOT EXISTS ${statement.column}`,
              )
        await client.execute(
          `INSERT INTO ${keyspace}.schema_version (name, version) VALUES ('confab', ?)`,
          [i + 1],
          { ...quorum, prepare: true },
        )
      }
      // Last: a quorum of the new number of replicas may need more nodes than are up.
      if (replicationChanged)
        await changeSchema(client, `ALTER KEYSPACE ${keyspace} WITH replication = ${replication(before)}`)
      return { keyspace, from, to: schemaVersion, created: before === undefined, replicationChanged }
    })
  } catch (error) {
    throw toStartError(error, options.contactPoints, keyspace)
  } finally {
    await client.shutdown()
  }
}

/** Rejects with CassandraError when the keyspace of this connection has another version. */
export const expectCurrent = async (client: Client, keyspace: string): Promise<void> => {
  const version = (await hasTable(client, keyspace, 'schema_version')) ? await versionOf(client, keyspace) : 0
  refuseNewer(version, keyspace)
  if (version < schemaVersion)
    throw new CassandraError(
      CassandraProblem.older,
      `the keyspace ${keyspace} has schema ${version}, this build needs ${schemaVersion}: run "confab stores migrate"`,
    )
}

export interface CassandraStatus {
  readonly keyspace: string
  /** Undefined: the keyspace does not exist. */
  readonly version: number | undefined
  /** The version that this build needs. */
  readonly needed: number
  /** Replicas of each row, by data centre. */
  readonly replication: Readonly<Record<string, number>>
  readonly nodes: readonly {
    readonly address: string
    readonly dataCenter: string
    readonly version: string
    /** Whether its port is reachable from this machine. */
    readonly reachable: boolean
  }[]
}

/** Whether a node, `host:port`, accepts a connection. The driver learns the state of a node only when it connects. */
const answersAt = (address: string): Promise<boolean> =>
  new Promise(resolve => {
    const [, host = '', port = ''] = /^(.*):(\d+)$/.exec(address) ?? []
    const socket = connect({ host: host.replace(/^\[|\]$/g, ''), port: Number(port), timeout: reachMs })
    const answer = (reachable: boolean) => {
      socket.destroy()
      resolve(reachable)
    }
    socket.once('connect', () => answer(true))
    socket.once('timeout', () => answer(false))
    socket.once('error', () => answer(false))
  })

/**
 * Returns the status of the cluster and the keyspace. Rejects with CassandraError when the cluster cannot be reached.
 */
export const cassandraStatus = async (options: CassandraOptions): Promise<CassandraStatus> => {
  const { keyspace } = options
  const client = await connectDriver(options)
  try {
    const replication = await replicationOf(client, keyspace)
    const version =
      replication === undefined
        ? undefined
        : (await hasTable(client, keyspace, 'schema_version'))
          ? await versionOf(client, keyspace)
          : 0
    return {
      keyspace,
      version,
      needed: schemaVersion,
      replication: Object.fromEntries(
        Object.entries(replication ?? {}).flatMap(([name, copies]) =>
          name === 'class' ? [] : [[name, Number(copies)]],
        ),
      ),
      nodes: await Promise.all(
        client.hosts.values().map(async ({ address, datacenter, cassandraVersion }) => ({
          address,
          dataCenter: datacenter,
          version: cassandraVersion,
          reachable: await answersAt(address),
        })),
      ),
    }
  } catch (error) {
    throw toStartError(error, options.contactPoints, keyspace)
  } finally {
    await client.shutdown()
  }
}
