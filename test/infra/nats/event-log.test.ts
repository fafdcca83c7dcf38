import t from 'tap'
import { ConflictError } from '../../../src/commands/index.ts'
import { discoverLog, JetStreamEventLog } from '../../../src/infra/nats/index.ts'
import { testEventLog } from '../../contracts/event-log.ts'
import { conversation, newEvent } from '../../contracts/new-events.ts'
import { startNats } from '../../harness/nats.ts'

t.test('JetStream event log', async t => {
  const nats = await startNats(t)
  const connected = await nats.connect()
  const layout = await discoverLog(connected.connection)
  testEventLog(t, async t => {
    const log = new JetStreamEventLog(connected, layout)
    t.teardown(() => log.close())
    return log
  })
})

t.test('JetStream event log over several streams', async t => {
  const nats = await startNats(t, { streams: false })
  await nats.applyStreams({ conv: 3, user: 2 })
  const connected = await nats.connect()
  const layout = await discoverLog(connected.connection)
  t.same([...layout.streams].sort(), ['CONV_0', 'CONV_1', 'CONV_2', 'USER_0', 'USER_1'])
  testEventLog(t, async t => {
    const log = new JetStreamEventLog(connected, layout)
    t.teardown(() => log.close())
    return log
  })
})

t.test('acknowledged events survive kill -9 of the server', async t => {
  const nats = await startNats(t)
  const connected = await nats.connect()
  const log = new JetStreamEventLog(connected, await discoverLog(connected.connection), { timeoutMs: 1_000 })
  t.teardown(() => log.close())
  const acked = new Map<string, number>()
  let isOver = false
  const write = async (): Promise<void> => {
    const aggregate = conversation()
    let expected = 0
    let seq = 1
    let event = newEvent(seq)
    while (!isOver)
      try {
        const appended = await log.append(aggregate, expected, [event])
        expected = appended.position.streamSeq
        acked.set(aggregate.id, seq++)
        event = newEvent(seq)
      } catch (error) {
        // The outcome of the append is unknown; the caller finds out.
        if (ConflictError.is(error)) {
          const last = await log.last(aggregate).catch(() => undefined)
          if (last?.envelope.commandId !== event.envelope.commandId) continue
          expected = last.streamSeq
          acked.set(aggregate.id, seq++)
          event = newEvent(seq)
        } else t.match(error, { code: 'UNAVAILABLE' })
        await new Promise(resolve => setTimeout(resolve, 5))
      }
  }
  const writers = Array.from({ length: 16 }, write)
  for (let kill = 0; kill < 3; kill++) {
    const before = [...acked.values()].reduce((sum, seq) => sum + seq, 0)
    while ([...acked.values()].reduce((sum, seq) => sum + seq, 0) < before + 500)
      await new Promise(resolve => setTimeout(resolve, 10))
    await nats.kill9()
    await nats.restart()
  }
  isOver = true
  await Promise.all(writers)
  while (!connected.connected()) await new Promise(resolve => setTimeout(resolve, 10))
  for (const [id, seq] of acked) {
    const seqs: number[] = []
    for await (const events of log.read(conversation(id), 0))
      seqs.push(...events.map(event => event.envelope.seq))
    t.ok(seqs.length >= seq, `${seq} acked, ${seqs.length} there`)
    t.ok(
      seqs.every((value, index) => value === index + 1),
      'gapless, each once',
    )
  }
})

t.test('a server with a smaller payload limit refuses each such append, and continues', async t => {
  const nats = await startNats(t, { more: 'max_payload: 65536' })
  const connected = await nats.connect()
  t.equal(connected.connection.info?.max_payload, 65_536)
  const log = new JetStreamEventLog(connected, await discoverLog(connected.connection))
  t.teardown(() => log.close())
  const aggregate = conversation()
  const large = { ...newEvent(1), data: Buffer.alloc(70_000, ' ') }
  await t.rejects(log.append(aggregate, 0, [large]), { code: 'TOO_LARGE' })
  t.equal(log.inFlight, 0)
  t.match(await log.append(aggregate, 0, [newEvent(1)]), { duplicate: false })
})
