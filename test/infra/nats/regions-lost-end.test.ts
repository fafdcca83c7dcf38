import { cpSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { jetstream } from '@nats-io/jetstream'
import t from 'tap'
import { sleep } from '../../../src/base/sleep.ts'
import { openManager } from '../../../src/infra/nats/log/streams.ts'
import { regionsStatus } from '../../../src/infra/nats/regions/region-status.ts'
import { applied, definitions, startRegions } from '../../harness/nats-regions.ts'

t.test('a mirror that lost its end and continued beyond it', async t => {
  const servers = await startRegions(t)
  const open = await applied(servers)
  const b = servers.region('b')
  const store = join(dirname(servers.topologyFile), 'b', 'store')
  const js = jetstream(open[0]!.nats.connection)
  const stateOf = async () =>
    (await (await openManager(open[1]!.nats.connection)).streams.info('CONV_0')).state
  const publish = async (count: number, last: number) => {
    for (let n = 0; n < count; n++) await js.publish('epoch.1.conv.1.x', `event ${n}`)
    while ((await stateOf().catch(() => undefined))?.last_seq !== last) await sleep(50)
  }
  const status = () => regionsStatus(servers.topology, open, definitions)
  await publish(100, 100)
  await b.stop()
  cpSync(store, `${store}.old`, { recursive: true })
  await b.start()
  await publish(50, 150)
  const consumerOf = async () =>
    (await openManager(open[0]!.nats.connection)).consumers.info('CONV_0', 'mirror-b')
  while ((await consumerOf()).ack_floor.stream_seq < 150) await sleep(50)

  await b.stop()
  rmSync(store, { recursive: true })
  renameSync(`${store}.old`, store)
  await b.start()
  await publish(10, 160)
  t.equal((await stateOf()).messages, 110, 'JetStream does not send the lost messages again')
  const { problems, streams } = await status()
  t.equal(streams[0]?.mirrors[0]?.behind, 0, 'by its last sequence, the mirror is level')
  t.same(problems, ['the mirror of CONV_0 in b has skipped 50 messages of its home: replace the mirror'])
})
