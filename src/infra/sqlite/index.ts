export { NewerDatabaseError } from './migrations.ts'
export { openSqliteStores } from './sqlite-stores.ts'
export { openSqliteReader, openSqliteViews, type SqliteReader } from './sqlite-views.ts'
