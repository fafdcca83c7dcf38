import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import t from 'tap'
import { openSqliteReader, openSqliteStores } from '../../../src/infra/sqlite/index.ts'
import { addition, firstTables } from '../../../src/infra/sqlite/view-tables.ts'
import { projectionNames } from '../../../src/projections/index.ts'
import { tempFolder } from '../../harness/temp-folder.ts'

const at = '2026-01-01T00:00:00.000Z'
const oldAt = '2025-12-31T23:59:59.123Z'

/** Creates a database from before channels could be followed, with a second generation of inbox and roster. */
const older = (path: string): void => {
  const db = new DatabaseSync(path)
  db.exec(`
    CREATE TABLE checkpoint (
      projection TEXT NOT NULL, generation INTEGER NOT NULL, stream TEXT NOT NULL,
      version INTEGER NOT NULL, position INTEGER NOT NULL, dead_letters INTEGER NOT NULL,
      PRIMARY KEY (projection, generation, stream)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE claim (stream TEXT NOT NULL PRIMARY KEY, epoch INTEGER NOT NULL) STRICT, WITHOUT ROWID;`)
  for (const projection of projectionNames) db.exec(firstTables(projection, 1))
  for (const projection of ['inbox', 'roster'] as const) db.exec(firstTables(projection, 2))
  for (const generation of [1, 2]) {
    db.exec(addition('inbox', generation, 0))
    const table = generation === 1 ? 'roster' : 'roster_2'
    db.exec(`INSERT INTO ${table} (c, user, seq, role) VALUES ('c', 'ann', 1, 'owner')`)
    const inbox = generation === 1 ? (name: string) => name : (name: string) => `${name}_2`
    db.exec(
      `INSERT INTO ${inbox('inbox_conversation')} (c, kind, head, at, n) VALUES ('old', 'group', 3, '${oldAt}', 0)`,
    )
    db.exec(`INSERT INTO ${inbox('inbox_entry')} (user, c, member, member_seq) VALUES ('ann', 'old', 1, 1)`)
  }
  db.exec('PRAGMA user_version = 3')
  db.close()
}

t.test('rows of every generation survive, and accept followers of channels', async t => {
  const path = join(tempFolder(t), 'views.db')
  older(path)
  const stores = openSqliteStores(path)
  const reader = openSqliteReader(path)
  for (const generation of [1, 2]) {
    const roster = await stores.open('roster', generation)
    const inbox = await stores.open('inbox', generation)
    await roster.apply([{ c: 'c', user: 'bob', seq: 1, follows: true }])
    await inbox.apply([
      { kind: 'created', c: 'c', as: 'channel' },
      { kind: 'follows', c: 'c', user: 'bob', seq: 1, follows: true, at },
    ])
    const views = reader.viewsAt({ roster: generation, inbox: generation })
    t.match((await views.roster.members('c', { limit: 9 })).members, [
      { user: 'ann', role: 'owner' },
      { user: 'bob', role: 'member', follows: true },
    ])
    t.match(await views.inbox.item('bob', 'c'), { c: 'c', kind: 'channel', at })
    t.match(await views.inbox.page('ann', { limit: 9 }), { items: [{ c: 'old', head: 3, at: oldAt }] })
    await inbox.apply([
      { kind: 'hide', c: 'old', user: 'ann', seq: 1, shownFrom: 4 },
      { kind: 'archived', c: 'old', seq: 3, archived: true },
    ])
    t.match(await views.inbox.item('ann', 'old'), { archived: true })
    t.same(await views.inbox.page('ann', { limit: 9 }), { items: [] })
  }
  reader.close()
  await stores.close()
})
