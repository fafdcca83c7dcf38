export { NewerDatabaseError } from './migrations.ts'
export { openSqliteStores } from './sqlite-stores.ts'
export { openSqliteViews } from './sqlite-views.ts'
