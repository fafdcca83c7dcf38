import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Lease } from '../../../src/infra/nats/regions/lease.ts'
import { newestPromises, readPromises, writePromises } from '../../../src/infra/nats/regions/promises.ts'
import { applied, startRegions } from '../../harness/nats-regions.ts'

t.test('a new home gets its lease before the next renewal', { timeout: 60_000 }, async t => {
  const servers = await startRegions(t)
  const open = await applied(servers)
  const lease = new Lease(await servers.region('b').connect('commands'), {
    region: 'b',
    node: 'node-b',
    regions: servers.topology.regions,
    // The next renewal is after the end of this test.
    settings: { timeMs: 1_000_000, renewalMs: 500_000, guardMs: 500 },
  })
  t.teardown(() => lease.close())
  await sleep(500)
  t.equal(lease.epochOf('CONV_0'), undefined, 'region a is the home')
  const regions = await readPromises(open)
  const { streams, counter } = newestPromises(regions)
  const epoch = counter + 1
  await writePromises(regions, { counter: epoch, streams: { ...streams, CONV_0: { epoch, home: 'b' } } })
  while (lease.epochOf('CONV_0') !== epoch) {
    lease.renew()
    await sleep(20)
  }
  t.equal(lease.epochOf('CONV_0'), epoch)
})
