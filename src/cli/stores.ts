import { Command } from 'commander'
import type { CassandraOptions } from '../infra/cassandra/index.ts'
import type { ConfabConfig } from '../infra/config/index.ts'
import { CliError } from './command/cli-error.ts'
import { type CommandRecorder, reads, records } from './command/command-effect.ts'
import { addConfigFlags, configOf } from './command/config-flags.ts'
import { note, print, styled, table } from './terminal/output.ts'

interface StoreFlags {
  readonly config?: string
  readonly json?: boolean
}

/** Loads the driver only when a command needs it: every command of the CLI imports this file. */
const loadCassandra = () => import('../infra/cassandra/index.ts')

/** Returns the Cassandra options of the configuration. Throws CliError when it names no cluster. */
const cassandraOf = ({ cassandra }: ConfabConfig): CassandraOptions => {
  const { contactPoints } = cassandra
  if (contactPoints === undefined)
    throw new CliError(
      'BAD_OPTION',
      'no Cassandra cluster is configured, so the views are in the data folder: name a Cassandra cluster with CONFAB_CASSANDRA or in the file of --config',
    )
  return { ...cassandra, contactPoints }
}

const migrate = async (recorder: CommandRecorder, flags: StoreFlags): Promise<void> => {
  const config = configOf(flags)
  const { replicationFactor } = config.cassandra
  const cassandra = cassandraOf(config)
  const { migrateCassandra } = await loadCassandra()
  const { done, outcome } = await recorder.performApart(
    config,
    { target: `keyspace:${cassandra.keyspace}` },
    async report => {
      const done = await migrateCassandra(cassandra, { replicationFactor })
      const outcome = done.created ? 'created' : done.from === done.to ? 'unchanged' : 'upgraded'
      report({ outcome, from: done.from, to: done.to })
      return { done, outcome }
    },
  )
  await print(
    table(
      [
        { title: 'store' },
        { title: 'keyspace' },
        { title: 'from', align: 'right' },
        { title: 'to', align: 'right' },
        { title: 'outcome' },
      ],
      [['cassandra', done.keyspace, done.from, done.to, outcome]],
    ),
  )
  if (done.replicationChanged)
    note(`the replication factor changed: run "nodetool repair --full ${done.keyspace}" on every node`)
}

const status = async (flags: StoreFlags): Promise<void> => {
  const config = configOf(flags)
  const { cassandraStatus } = await loadCassandra()
  const found = await cassandraStatus(cassandraOf(config))
  if (flags.json) await print(`${JSON.stringify(found, undefined, 2)}\n`)
  else {
    const { keyspace, version, needed, replication, nodes } = found
    const isCurrent = version === needed
    const copies = Object.entries(replication).map(([dataCenter, count]) => `${dataCenter} ${count}`)
    await print(
      table(
        [
          { title: 'store' },
          { title: 'keyspace' },
          { title: 'schema', align: 'right' },
          { title: 'needed', align: 'right' },
          { title: 'copies' },
        ],
        [
          [
            'cassandra',
            keyspace,
            styled(isCurrent ? 'green' : 'red', version === undefined ? 'none' : String(version)),
            needed,
            copies.join(', '),
          ],
        ],
      ),
    )
    await print(
      `\n${table(
        [{ title: 'node' }, { title: 'data centre' }, { title: 'version' }, { title: 'state' }],
        nodes.map(({ address, dataCenter, version, reachable }) => [
          address,
          dataCenter,
          version,
          reachable ? styled('green', 'reachable') : styled('red', 'unreachable'),
        ]),
      )}`,
    )
  }
  if (found.version !== found.needed)
    throw new CliError(
      'NOT_READY',
      'the schema of the keyspace is not the one this version needs: run "confab stores migrate"',
    )
}

export const storesCommand = (): Command => {
  const command = new Command('stores').description('Manage the databases that hold the views')
  reads(
    addConfigFlags(command.command('status').description('Show schema versions and nodes'), [])
      .option('--json', 'Output JSON')
      .action(status),
  )
  records(
    'stores.migrate',
    addConfigFlags(
      command
        .command('migrate')
        .description('Create or upgrade keyspace and tables; safe to run at any time, and in parallel'),
      [],
    ),
    migrate,
  )
  return command
}
