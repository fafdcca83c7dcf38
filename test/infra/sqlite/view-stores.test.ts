import { join } from 'node:path'
import t from 'tap'
import { openSqliteStores, openSqliteViews } from '../../../src/infra/sqlite/index.ts'
import { testCheckpointStore } from '../../contracts/checkpoint-store.ts'
import { testCurrentContent } from '../../contracts/current-content.ts'
import { testInboxStore } from '../../contracts/inbox-store.ts'
import { type OpenEmptyViews, openGeneration } from '../../contracts/open-views.ts'
import { testRosterStore } from '../../contracts/roster-store.ts'
import { testSearchIndex } from '../../contracts/search-index.ts'
import { testTimelineStore } from '../../contracts/timeline-store.ts'
import { tempFolder } from '../../harness/temp-folder.ts'

const open: OpenEmptyViews = async t => {
  const path = join(tempFolder(t), 'views.db')
  const stores = await openGeneration(openSqliteStores(path))
  const views = openSqliteViews(path)
  t.teardown(async () => {
    views.close()
    await stores.close()
  })
  return { stores, views }
}

t.test('timeline', async t => testTimelineStore(t, open))
t.test('current content', async t => testCurrentContent(t, open, 300))
t.test('inbox', async t => testInboxStore(t, open))
t.test('roster and read state', async t => testRosterStore(t, open))
t.test('search', async t => testSearchIndex(t, open))
t.test('checkpoints', async t => testCheckpointStore(t, open, true))
