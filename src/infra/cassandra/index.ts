export { CassandraError, CassandraProblem } from './cassandra-error.ts'
export type { CassandraOptions } from './connection-options.ts'
export {
  type CassandraStatus,
  cassandraStatus,
  type Migrated,
  type MigrateOptions,
  migrateCassandra,
  schemaVersion,
} from './migrate.ts'
export type { CassandraViews } from './open-cassandra.ts'
export { type OpenCassandra, openCassandra } from './open-cassandra.ts'
