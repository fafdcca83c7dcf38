import t from 'tap'
import { discoverLog, JetStreamEventLog, NatsLiveFeed } from '../../../src/infra/nats/index.ts'
import { testLiveFeed } from '../../contracts/live-feed.ts'
import { startNats } from '../../harness/nats.ts'

t.test('NATS live feed', async t => {
  const nats = await startNats(t)
  testLiveFeed(t, async t => {
    const steady = await nats.connect()
    const layout = await discoverLog(steady.connection)
    const log = new JetStreamEventLog(steady, layout)
    const proxy = await nats.proxy()
    const feed = new NatsLiveFeed(await nats.connect(proxy.url), layout)
    t.teardown(() => log.close())
    return { feed, log, disturb: () => proxy.cutAtRandom(200) }
  })
})
