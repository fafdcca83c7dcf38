import type { Generations, ViewStores } from '../../projections/index.ts'
import { toStartError } from './cassandra-error.ts'
import { cassandraStores } from './cassandra-stores.ts'
import { type CassandraViews, cassandraViewsAt } from './cassandra-views.ts'
import { connectDriver, Database } from './database.ts'
import { expectCurrent } from './migrate.ts'
import type { CassandraOptions } from './options.ts'

/** A connected keyspace: the stores and the views share its connections. */
export interface OpenCassandra {
  readonly stores: ViewStores
  /** Creates readers of these generations; 1 where a view is not named. */
  viewsAt(generations?: Generations): CassandraViews
  /** Closes the connections. */
  close(): Promise<void>
}

/** Connects to a migrated keyspace without changing it. Rejects with CassandraError. */
export const openCassandra = async (options: CassandraOptions): Promise<OpenCassandra> => {
  const client = await connectDriver(options, options.keyspace)
  try {
    await expectCurrent(client, options.keyspace)
  } catch (error) {
    void client.shutdown().catch(() => {})
    throw toStartError(error, options.contactPoints, options.keyspace)
  }
  const database = new Database(client, options)
  return {
    stores: cassandraStores(database),
    viewsAt: cassandraViewsAt(database),
    close: () => database.close(),
  }
}
