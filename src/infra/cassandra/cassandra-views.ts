import type { Generations, ProjectionName, Views } from '../../projections/index.ts'
import type { Database } from './database.ts'
import { cassandraInboxQueries } from './inbox-queries.ts'
import { cassandraPositions } from './positions-query.ts'
import { cassandraRosterQueries } from './roster-queries.ts'
import { cassandraTimelineQueries } from './timeline-queries.ts'

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
