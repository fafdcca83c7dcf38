import type { Generations, ViewStores } from '../../projections/index.ts'
import { toStartError } from './cassandra-error.ts'
import { cassandraStores } from './cassandra-stores.ts'
import { type CassandraViews, cassandraViewsAt } from './cassandra-views.ts'
import { connectDriver, Database } from './database.ts'
import { expectCurrent } from './migrate.ts'
import type { CassandraOptions } from './options.ts'

/** A keyspace, connected to: the writing and the reading half share its connections. */
export interface OpenCassandra {
  readonly stores: ViewStores
  /** Readers of these generations; 1 where none is named. */
  viewsAt(generations?: Generations): CassandraViews
  /** Ends both halves. */
  close(): Promise<void>
}

/** Connects to a keyspace that was migrated. Rejects with CassandraError; changes nothing there. */
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
