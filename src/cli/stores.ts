import { Command } from 'commander'
import { type CassandraOptions, cassandraStatus, migrateCassandra } from '../infra/cassandra/index.ts'
import type { ConfabConfig } from '../infra/config/index.ts'
import { CliError } from './command/cli-error.ts'
import { configOf } from './command/system-options.ts'
import { note, print, styled, table } from './terminal/output.ts'

interface StoreFlags {
  readonly config?: string
  readonly json?: boolean
}

/** Where the configuration says that Cassandra is. Throws CliError when it says nothing. */
const cassandraOf = ({ cassandra }: ConfabConfig): CassandraOptions => {
  const { contactPoints } = cassandra
  if (contactPoints === undefined)
    throw new CliError(
      'BAD_OPTION',
      'the views are in the data folder, which needs no migration: name Cassandra in CONFAB_CASSANDRA or in the file of --config',
    )
  return { ...cassandra, contactPoints }
}

const migrate = async (flags: StoreFlags): Promise<void> => {
  const config = configOf(flags.config === undefined ? {} : { config: flags.config })
  const { replicationFactor } = config.cassandra
  const done = await migrateCassandra(cassandraOf(config), { replicationFactor })
  const outcome = done.created ? 'created' : done.from === done.to ? 'as it was' : 'upgraded'
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
    note(`the number of copies has changed: run "nodetool repair --full ${done.keyspace}" on every node`)
}

const status = async (flags: StoreFlags): Promise<void> => {
  const config = configOf(flags.config === undefined ? {} : { config: flags.config })
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
          reachable ? styled('green', 'answers') : styled('red', 'does not answer'),
        ]),
      )}`,
    )
  }
  if (found.version !== found.needed)
    throw new CliError(
      'NOT_READY',
      'the keyspace is not as this confab needs it: run "confab stores migrate"',
    )
}

export const storesCommand = (): Command => {
  const command = new Command('stores').description('the databases that hold the views')
  command
    .command('status')
    .description('what there is')
    .option('--config <file>', 'configuration, YAML')
    .option('--json', 'as JSON')
    .action(status)
  command
    .command('migrate')
    .description(
      'create keyspace and tables, or bring them up to date; can be run at any time, and by several at once',
    )
    .option('--config <file>', 'configuration, YAML')
    .action(migrate)
  return command
}
