import t from 'tap'
import { MemoryEventLog, MemoryLiveFeed } from '../../../src/infra/memory/index.ts'
import { testEventLog } from '../../contracts/event-log.ts'
import { testLiveFeed } from '../../contracts/live-feed.ts'

t.test('the in-memory log is an EventLog', async t => testEventLog(t, async () => new MemoryEventLog()))

for (const when of ['at once', 'later'] as const)
  t.test(`the in-memory feed, ${when}, is a LiveFeed`, async t =>
    testLiveFeed(t, async () => {
      const log = new MemoryEventLog()
      return { log, feed: new MemoryLiveFeed(log, when), disturb: () => () => {} }
    }),
  )
