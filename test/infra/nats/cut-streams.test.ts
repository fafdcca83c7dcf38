import { jetstreamManager } from '@nats-io/jetstream'
import { headers } from '@nats-io/transport-node'
import t from 'tap'
import { sleep } from '../../../src/base/sleep.ts'
import { createCommandBus, createLogLookup, createStates } from '../../../src/commands/index.ts'
import { Header } from '../../../src/events/index.ts'
import { NatsLiveFeed } from '../../../src/infra/nats/feed/nats-live-feed.ts'
import { JetStreamEventLog } from '../../../src/infra/nats/log/jetstream-event-log.ts'
import { JetStreamSnapshots } from '../../../src/infra/nats/log/jetstream-snapshots.ts'
import { LiveLayout } from '../../../src/infra/nats/log/live-layout.ts'
import { startNats } from '../../harness/nats.ts'

t.test('a stream that was continued without its last events', async t => {
  const nats = await (await startNats(t)).connect()
  const manager = await jetstreamManager(nats.connection)
  const layout = await LiveLayout.open(nats)
  t.teardown(() => layout.close())
  const log = new JetStreamEventLog(nats, layout)
  const feed = new NatsLiveFeed(nats, layout)
  const delivered: string[] = []
  const states = createStates({ log, feed, snapshots: new JetStreamSnapshots(nats, layout), epochs: layout })
  feed.listen(event => delivered.push(`${event.streamSeq} ${event.envelope.commandId}`))
  const bus = createCommandBus({ log, states, lookup: createLogLookup(log), epochs: layout })
  await feed.start()
  t.teardown(() => feed.stop())
  const at = new Date().toISOString()
  const send = (m: string) => bus.execute({ id: m, t: 'send', c: 'tea', m, text: m }, { from: 'alice', at })
  await bus.execute({ id: '1', t: 'create', c: 'tea', kind: 'group', members: [] }, { from: 'alice', at })
  for (const m of ['m1', 'lost1', 'lost2']) await send(m)
  t.equal((await states.conversation('tea'))?.head, 4)

  const { config } = await manager.streams.info('CONV_0')
  const kept = await Promise.all([1, 2].map(seq => manager.streams.getMessage('CONV_0', { seq })))
  await manager.streams.delete('CONV_0')
  await manager.streams.add({
    ...config,
    metadata: { ...config.metadata, 'confab.epoch': '2', 'confab.cuts': '2:2' },
  })
  for (const message of kept) {
    const copied = headers()
    for (const key of message?.header.keys() ?? [])
      if (!key.startsWith('Nats-')) copied.set(key, message?.header.get(key) ?? '')
    await nats.connection.request(message?.subject ?? '', message?.data, { headers: copied, timeout: 2_000 })
  }
  layout.refresh()
  while (layout.epochOf('CONV_0') !== 2) await sleep(20)
  t.same(layout.cutsOf('CONV_0'), [{ epoch: 2, streamSeq: 2 }])
  t.equal((await states.conversation('tea'))?.head, 2, 'no state has lost events')
  await send('new1')
  await send('new2')
  const stored = await manager.streams.getMessage('CONV_0', { seq: 3 })
  t.equal(stored?.header.get(Header.epoch), '2')
  for (let polls = 0; polls < 250 && delivered.length < 6; polls++) await sleep(20)
  t.same(
    delivered.map(text => text.split(' ')[0]),
    ['1', '2', '3', '4', '3', '4'],
    'the feed delivers the events that took the sequences',
  )
})
