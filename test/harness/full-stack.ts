import type { Test } from 'tap'
import { freshKeyspace } from '../infra/cassandra/keyspace.ts'
import { ownPrefix } from '../infra/elasticsearch/own-index.ts'
import { type CuttingProxy, startProxy } from './nats-proxy.ts'
import { service } from './service.ts'

/** Real stores for confab processes. */
export interface FullStack {
  /** The environment with the stores' addresses. */
  readonly env: Record<string, string>
  /** A proxy in front of Elasticsearch. */
  readonly elasticsearch: CuttingProxy
}

/**
 * Creates a keyspace and a prefix of indices on this machine's Cassandra and Elasticsearch, and removes them when the
 * test ends. Undefined, with the test skipped or failed, if a server is missing.
 */
export const fullStack = async (t: Test): Promise<FullStack | undefined> => {
  const server = await service(t, 'elasticsearch')
  const keyspace = server && (await freshKeyspace(t))
  if (server === undefined || keyspace === undefined) return undefined
  const prefix = ownPrefix(t, `http://${server.host}:${server.port}`)
  const elasticsearch = await startProxy(server.port)
  t.teardown(() => elasticsearch.close())
  return {
    env: {
      CONFAB_CASSANDRA: keyspace.contactPoints.join(','),
      CONFAB_CASSANDRA_DC: keyspace.dataCenter,
      CONFAB_CASSANDRA_KEYSPACE: keyspace.keyspace,
      CONFAB_ELASTICSEARCH: `http://127.0.0.1:${elasticsearch.port}`,
      CONFAB_ELASTICSEARCH_PREFIX: prefix,
    },
    elasticsearch,
  }
}
