import t from 'tap'
import { openCassandra } from '../../../src/infra/cassandra/index.ts'
import type { Views } from '../../../src/projections/index.ts'
import { testCheckpointStore } from '../../contracts/checkpoint-store.ts'
import { testCurrentContent } from '../../contracts/current-content.ts'
import { testInboxStore } from '../../contracts/inbox-store.ts'
import { type OpenEmptyViews, openGeneration } from '../../contracts/open-views.ts'
import { testRosterStore } from '../../contracts/roster-store.ts'
import { testTimelineStore } from '../../contracts/timeline-store.ts'
import { freshKeyspace } from './keyspace.ts'

const options = await freshKeyspace(t)
if (options !== undefined) {
  const { stores, viewsAt, close } = await openCassandra(options)
  t.teardown(close)
  const opened = await openGeneration(stores)
  /** Truncates the tables instead of re-creating them, in a tenth of the time. */
  const open: OpenEmptyViews = async () => {
    for (const store of [opened.timeline, opened.inbox, opened.readState, opened.roster]) await store.clear()
    for (const { projection, generation } of await stores.checkpoints.load())
      await stores.checkpoints.remove(projection, generation)
    // The contracts of these stores do not search.
    return { stores: opened, views: viewsAt() as Views }
  }
  t.test('timeline', async t => testTimelineStore(t, open))
  t.test('current content', async t => testCurrentContent(t, open, 40))
  t.test('inbox', async t => testInboxStore(t, open))
  t.test('roster and read state', async t => testRosterStore(t, open))
  t.test('checkpoints', async t => testCheckpointStore(t, open, false))
}
