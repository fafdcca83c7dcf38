import { randomBytes } from 'node:crypto'
import type { Test } from 'tap'
import { connectDriver } from '../../../src/infra/cassandra/database.ts'
import { type CassandraOptions, migrateCassandra } from '../../../src/infra/cassandra/index.ts'
import { type Service, service } from '../../harness/service.ts'

export const optionsFor = (
  { host, port }: Pick<Service, 'host' | 'port'>,
  keyspace = `confab_test_${randomBytes(6).toString('hex')}`,
): CassandraOptions => ({
  contactPoints: [`${host}:${port}`],
  dataCenter: process.env.CONFAB_TEST_CASSANDRA_DC ?? 'datacenter1',
  keyspace,
})

/** Drops a keyspace when the test ends. */
export const dropAfter = (t: Pick<Test, 'teardown'>, options: CassandraOptions): void => {
  t.teardown(async () => {
    const client = await connectDriver(options)
    await client.execute(`DROP KEYSPACE IF EXISTS ${options.keyspace}`, [], {
      prepare: false,
      readTimeout: 60_000,
    })
    await client.shutdown()
  })
}

/**
 * Creates a keyspace for the test on the shared server, with all tables. Undefined without Cassandra: the test was
 * skipped.
 */
export const freshKeyspace = async (
  t: Pick<Test, 'teardown' | 'skip' | 'fail' | 'pass'>,
): Promise<CassandraOptions | undefined> => {
  const server = await service(t, 'cassandra')
  if (server === undefined) return undefined
  const options = optionsFor(server)
  dropAfter(t, options)
  await migrateCassandra(options, { replicationFactor: 1 })
  return options
}
