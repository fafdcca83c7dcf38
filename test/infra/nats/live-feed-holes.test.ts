import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { Header, type StoredEvent, subjectOf } from '../../../src/events/index.ts'
import { discoverLog, JetStreamEventLog, NatsLiveFeed } from '../../../src/infra/nats/index.ts'
import { applyStreams, loadStreams, openManager } from '../../../src/infra/nats/log/streams.ts'
import { conversation, newEvent, newEvents } from '../../contracts/new-events.ts'
import { startNats } from '../../harness/nats.ts'

const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await sleep(5)
}

/** A feed behind a proxy, on streams with deletable messages. */
const open = async (t: Test) => {
  const nats = await startNats(t, { streams: false })
  const { connection } = await nats.connect()
  const definitions = loadStreams().map(definition => ({ ...definition, deny_delete: false }))
  await applyStreams(connection, definitions)
  const manager = await openManager(connection)
  const writer = await nats.connect()
  const layout = await discoverLog(connection)
  const log = new JetStreamEventLog(writer, layout, { timeoutMs: 1_000 })
  const proxy = await nats.proxy()
  const connected = await nats.connect(proxy.url)
  const notices: string[] = []
  const feed = new NatsLiveFeed(connected, layout, { checkMs: 200, onNotice: notice => notices.push(notice) })
  const seen: StoredEvent[] = []
  feed.listen(event => seen.push(event))
  await feed.start()
  t.teardown(async () => {
    await feed.stop()
    log.close()
  })
  return { nats, connection, definitions, manager, log, proxy, connected, feed, seen, notices, writer }
}

const sequencesOf = (events: readonly StoredEvent[]): number[] => events.map(event => event.streamSeq)

t.test('sequences that were deleted during an outage are not waited for', async t => {
  const { manager, log, proxy, connected, feed, seen } = await open(t)
  proxy.block(true)
  await until(() => !connected.connected())
  const aggregate = conversation()
  const { position } = await log.append(aggregate, 0, newEvents(1, 10))
  for (const seq of [1, 4, 5]) await manager.streams.deleteMessage('CONV_0', seq)
  proxy.block(false)
  await until(() => feed.position('CONV_0') === 10)
  t.same(sequencesOf(seen), [2, 3, 6, 7, 8, 9, 10])

  // The last messages: no later one shows the end of the gap.
  proxy.block(true)
  await until(() => !connected.connected())
  await log.append(aggregate, position.streamSeq, newEvents(11, 3))
  for (const seq of [12, 13]) await manager.streams.deleteMessage('CONV_0', seq)
  proxy.block(false)
  await until(() => feed.position('CONV_0') === 13)
  t.same(sequencesOf(seen).slice(7), [11])
  await log.append(conversation(), 0, [newEvent(1)])
  await until(() => seen.length === 9)
  t.equal(seen.at(-1)?.streamSeq, 14)
})

t.test('a long outage is caught up from the log, while new events arrive', async t => {
  const { log, proxy, connected, seen } = await open(t)
  proxy.block(true)
  await until(() => !connected.connected())
  const aggregate = conversation()
  let expected = 0
  for (let first = 1; first <= 10_000; first += 1_000)
    expected = (await log.append(aggregate, expected, newEvents(first, 1_000))).position.streamSeq
  proxy.block(false)
  for (let seq = 10_001; seq <= 10_500; seq++)
    expected = (await log.append(aggregate, expected, [newEvent(seq)])).position.streamSeq
  await until(() => seen.length >= 10_500)
  t.ok(seen.every(({ streamSeq }, index) => streamSeq === index + 1))
})

t.test('it reports its staleness while cut off, and is fresh afterwards', async t => {
  const { proxy, connected, feed } = await open(t)
  proxy.block(true)
  await until(() => !connected.connected())
  const then = feed.staleness()
  await sleep(600)
  t.ok(feed.staleness() >= then + 500)
  proxy.block(false)
  await until(() => feed.staleness() < 500)
})

t.test('a foreign message is skipped', async t => {
  const { connection, log, feed, seen } = await open(t)
  connection.publish(subjectOf(conversation('stray')), 'no envelope')
  connection.publish('conv.300.nowhere', 'no bucket', { headers: undefined as never })
  await connection.flush()
  await log.append(conversation(), 0, [newEvent(1)])
  await until(() => feed.position('CONV_0') === 3)
  t.same(sequencesOf(seen), [3])
  t.equal(seen[0]?.envelope.type, 'message.posted')
})

t.test('a message that only begins like confab’s has no envelope, and stops nothing', async t => {
  const { connection, log, feed, seen, notices } = await open(t)
  const seqs: number[] = []
  feed.listen(event => seqs.push(event.envelope.seq))
  const { headers } = await import('@nats-io/transport-node')
  const broken = headers()
  broken.set(Header.type, 'message.posted')
  broken.set(Header.seq, '7')
  connection.publish(subjectOf(conversation('broken')), 'no version', { headers: broken })
  const elsewhere = headers()
  const { envelope } = newEvent(1)
  for (const key of Object.keys(Header) as (keyof typeof Header)[])
    if (envelope[key] !== undefined) elsewhere.set(Header[key], String(envelope[key]))
  connection.publish('conv.300.nowhere', 'no bucket of it', { headers: elsewhere })
  await connection.flush()
  await log.append(conversation(), 0, [newEvent(1)])
  await until(() => feed.position('CONV_0') === 3)
  t.same(seqs, [1])
  t.equal(notices.filter(notice => notice.includes('is not an event of confab')).length, 2)
  t.throws(() => seen[0]?.envelope, TypeError)
})

t.test('a listener that throws affects no other', async t => {
  const { log, feed, seen, notices } = await open(t)
  feed.listen(() => {
    throw new Error('of the listener')
  })
  await log.append(conversation(), 0, newEvents(1, 3))
  await until(() => seen.length === 3)
  t.ok(notices.some(notice => notice.includes('of the listener')))
})

t.test('kill -9 of the server, under load', async t => {
  const { nats, log, seen, feed } = await open(t)
  let isOver = false
  const writers = Array.from({ length: 4 }, async () => {
    const aggregate = conversation()
    while (!isOver)
      try {
        const last = await log.last(aggregate)
        await log.append(aggregate, last?.streamSeq ?? 0, [newEvent((last?.envelope.seq ?? 0) + 1)])
      } catch {
        await sleep(10)
      }
  })
  for (let kill = 0; kill < 3; kill++) {
    const before = seen.length
    await until(() => seen.length > before + 200)
    await nats.kill9()
    await nats.restart()
  }
  isOver = true
  await Promise.all(writers)
  await until(() => feed.staleness() < 400)
  t.ok(seen.every(({ streamSeq }, index) => streamSeq === index + 1))
  t.equal(seen.at(-1)?.streamSeq, feed.position('CONV_0'))
})

t.test('a stream that lost its tail is followed from its present end', async t => {
  const { connection, definitions, manager, log, feed, seen, notices } = await open(t)
  await log.append(conversation(), 0, newEvents(1, 50))
  await until(() => seen.length === 50)
  // Like a restore from a backup.
  await manager.streams.delete('CONV_0')
  await applyStreams(connection, definitions)
  await until(() => feed.position('CONV_0') === 0)
  t.ok(notices.some(notice => notice.includes('CONV_0 lost its last messages')))
  await log.append(conversation(), 0, newEvents(1, 2))
  await until(() => seen.length === 52)
  t.same(sequencesOf(seen.slice(50)), [1, 2])
})

t.test('headers are read the same from any writer, in any order', async t => {
  const { connection, log, seen } = await open(t)
  const aggregate = conversation()
  const { headers } = await import('@nats-io/transport-node')
  const [own, other] = [newEvent(1), newEvent(2, { keyId: 'k', traceparent: '00-aa-bb-01' })]
  await log.append(aggregate, 0, [own])
  const reversed = headers()
  const { envelope } = other
  for (const key of Object.keys(Header).reverse() as (keyof typeof Header)[])
    reversed.set(Header[key], String(envelope[key]))
  connection.publish(subjectOf(aggregate), other.data, { headers: reversed })
  await until(() => seen.length === 2)
  t.same(seen[0]?.envelope, own.envelope)
  t.same(seen[1]?.envelope, envelope)
})

t.test('a start waits for a stream without an answer, but not for ever', async t => {
  const { nats, connection, definitions, manager, log } = await open(t)
  const layout = await discoverLog(connection)
  await manager.streams.delete('CONV_0')
  const impatient = new NatsLiveFeed(await nats.connect(), layout, { startMs: 300 })
  await t.rejects(impatient.start(), { code: 'UNAVAILABLE' })
  await impatient.stop()

  const feed = new NatsLiveFeed(await nats.connect(), layout)
  const seen: StoredEvent[] = []
  feed.listen(event => seen.push(event))
  const started = feed.start()
  t.teardown(() => feed.stop())
  await sleep(300)
  await applyStreams(connection, definitions)
  await started
  await log.append(conversation(), 0, newEvents(1, 2))
  await until(() => seen.length === 2)
  t.same(sequencesOf(seen), [1, 2])
})
