import { randomBytes } from 'node:crypto'
import { Client } from 'cassandra-driver'
import { type CassandraOptions, migrateCassandra } from '../../src/infra/cassandra/index.ts'
import type { ElasticsearchOptions } from '../../src/infra/elasticsearch/index.ts'
import { type Service, type ServiceName, service } from '../../test/harness/service.ts'
import { SkippedRow } from '../row.ts'

type Defer = (end: () => unknown) => void

/** Returns a real server, found as the tests find it. Throws SkippedRow if there is none. */
const serverOf = async (name: ServiceName): Promise<Service> => {
  let reason = 'it is not there'
  const server = await service(
    {
      pass: (_name, { skip }) => (reason = skip),
      fail: why => {
        throw new Error(why)
      },
    },
    name,
  )
  if (server === undefined) throw new SkippedRow(`no ${name}: ${reason}`)
  return server
}

/** Creates a keyspace for this run, with its tables. */
export const ownKeyspace = async (defer: Defer): Promise<CassandraOptions> => {
  const server = await serverOf('cassandra')
  const options = {
    contactPoints: [`${server.host}:${server.port}`],
    dataCenter: process.env.CONFAB_TEST_CASSANDRA_DC ?? 'datacenter1',
    keyspace: `confab_bench_${randomBytes(6).toString('hex')}`,
  }
  defer(async () => {
    const client = new Client({ contactPoints: options.contactPoints, localDataCenter: options.dataCenter })
    await client.execute(`DROP KEYSPACE IF EXISTS ${options.keyspace}`, [], { readTimeout: 60_000 })
    await client.shutdown()
  })
  await migrateCassandra(options, { replicationFactor: 1 })
  return options
}

/** Returns a prefix of indices for this run. */
export const ownIndices = async (
  defer: Defer,
): Promise<ElasticsearchOptions & { readonly prefix: string }> => {
  const server = await serverOf('elasticsearch')
  const url = `http://${server.host}:${server.port}`
  const prefix = `bench-${randomBytes(6).toString('hex')}`
  defer(async () => {
    const found = Object.keys((await (await fetch(`${url}/${prefix}-*`)).json()) as object)
    if (found.length > 0) await fetch(`${url}/${found.join(',')}`, { method: 'DELETE' })
  })
  return { nodes: [url], prefix }
}
