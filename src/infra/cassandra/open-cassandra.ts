import type {
  Generations,
  ProjectionName,
  StoreByProjection,
  ViewStores,
  Views,
} from '../../projections/index.ts'
import { toStartError } from './cassandra-error.ts'
import { cassandraCheckpointStore } from './checkpoint-store.ts'
import type { CassandraOptions } from './connection-options.ts'
import { connectDriver, Database } from './database.ts'
import { cassandraPositions, dropTables, makeTables } from './generations.ts'
import { cassandraInboxQueries } from './inbox-queries.ts'
import { cassandraInboxStore } from './inbox-store.ts'
import { expectCurrent } from './migrate.ts'
import { cassandraReadStateStore, cassandraRosterQueries, cassandraRosterStore } from './roster.ts'
import { cassandraTimelineQueries, cassandraTimelineStore } from './timeline.ts'
import { type CassandraProjection, cassandraProjections, isCassandraProjection } from './view-tables.ts'

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

const storeOf: {
  [P in CassandraProjection]: (database: Database, generation: number) => StoreByProjection[P]
} = {
  timeline: cassandraTimelineStore,
  inbox: cassandraInboxStore,
  'read-state': cassandraReadStateStore,
  roster: cassandraRosterStore,
}

const expectOurs = (projection: ProjectionName): CassandraProjection => {
  if (!isCassandraProjection(projection)) throw new Error(`Cassandra does not hold the view ${projection}`)
  return projection
}

/**
 * Stores timeline, inbox, read state and roster in a keyspace. Without transactions, rows are written before their
 * checkpoint; repeated writes have no effect. Closing the stores closes the connection.
 */
export const cassandraStores = (database: Database): ViewStores => {
  const checkpoints = cassandraCheckpointStore(database)
  return {
    name: 'cassandra',
    projections: cassandraProjections,
    async open<P extends ProjectionName>(projection: P, generation: number): Promise<StoreByProjection[P]> {
      const ours = expectOurs(projection)
      await makeTables(database, ours, generation)
      return storeOf[ours](database, generation) as unknown as StoreByProjection[P]
    },
    async drop(projection, generation) {
      // Remove the checkpoints first: a crash in between must not leave checkpoints without rows.
      await checkpoints.remove(projection, generation)
      await dropTables(database, expectOurs(projection), generation)
    },
    checkpoints,
    atomically: work => work(),
    close: () => database.close(),
  }
}

/** The queries that Cassandra answers; `positions` covers its own views only. */
export type CassandraViews = Pick<Views, 'timeline' | 'inbox' | 'roster' | 'positions'>

/** Creates readers of fixed generations. They reject with ConfabError UNAVAILABLE when Cassandra does not answer. */
export const cassandraViewsAt =
  (database: Database) =>
  (generations: Generations = {}): CassandraViews => {
    const at = (projection: ProjectionName): number => generations[projection] ?? 1
    const positions = cassandraPositions(database)
    return {
      timeline: cassandraTimelineQueries(database, at('timeline')),
      inbox: cassandraInboxQueries(database, at('inbox')),
      roster: cassandraRosterQueries(
        database,
        { roster: at('roster'), readState: at('read-state') },
        positions,
      ),
      positions: projection => positions(projection, at(projection)),
    }
  }
