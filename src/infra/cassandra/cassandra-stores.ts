import type { ProjectionName, StoreByProjection, ViewStores } from '../../projections/index.ts'
import { cassandraCheckpointStore } from './checkpoint-store.ts'
import type { Database } from './database.ts'
import { dropTables, makeTables } from './generations.ts'
import { cassandraInboxStore } from './inbox-store.ts'
import { cassandraReadStateStore } from './read-state-store.ts'
import { cassandraRosterStore } from './roster-store.ts'
import { cassandraTimelineStore } from './timeline-store.ts'
import { type CassandraProjection, cassandraProjections, isCassandraProjection } from './view-tables.ts'

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
