import { jetstream } from '@nats-io/jetstream'
import t from 'tap'
import { openRegions } from '../../../src/app/open-regions.ts'
import { loadStreams, openManager } from '../../../src/infra/nats/log/streams.ts'
import { applyRegions, planRegions } from '../../../src/infra/nats/regions/apply-regions.ts'
import { regionsStatus } from '../../../src/infra/nats/regions/region-status.ts'
import { startRegions } from '../../harness/nats-regions.ts'

const definitions = loadStreams()
const config = { natsServers: undefined, natsTls: {}, natsInboxPrefix: '_INBOX', natsPingMs: 5_000 } as never

t.test('two regions and a witness', async t => {
  const servers = await startRegions(t)
  const { topology } = servers
  const regions = await openRegions(topology, config, 'test', () => {})
  t.teardown(regions.close)
  const open = regions.open.filter(({ region }) => !region.isWitness)
  const applied: unknown[] = []
  const apply = () =>
    applyRegions(topology, open, definitions, { allowLoss: new Set(), onApplied: one => applied.push(one) })
  await apply()
  t.same(await planRegions(topology, open, definitions), { changes: [], kept: [], conflicts: [] })
  const [a, b] = await Promise.all(['a', 'b'].map(name => servers.region(name).connect()))
  let live = 0
  b!.subscribe('live.>', () => live++)
  const js = jetstream(a!.connection)
  await Promise.all(Array.from({ length: 2_000 }, (_, n) => js.publish(`conv.1.c${n % 10}`, `event ${n}`)))
  const manager = await openManager(b!.connection)
  while ((await manager.streams.info('CONV_0')).state.last_seq < 2_000)
    await new Promise(r => setTimeout(r, 50))
  const status = await regionsStatus(topology, regions.open, definitions, { hash: 1_000 })
  t.same(status.problems, [])
  t.equal(live, 2_000)
})
