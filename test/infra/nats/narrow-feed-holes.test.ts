import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { type StoredEvent, subjectOf } from '../../../src/events/index.ts'
import { DigestDraft, digestSubject } from '../../../src/infra/nats/feed/digest.ts'
import { discoverLog, JetStreamEventLog, NatsLiveFeed } from '../../../src/infra/nats/index.ts'
import { asLive } from '../../../src/infra/nats/log/stored-message.ts'
import { applyStreams, loadStreams, openManager } from '../../../src/infra/nats/log/streams.ts'
import { conversation, newEvent, newEvents, user } from '../../contracts/new-events.ts'
import { writeDigests } from '../../harness/digests.ts'
import { startNats } from '../../harness/nats.ts'

const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await sleep(5)
}

/** A narrow feed behind a proxy, and a digest writer. `followed`: the conversations of lasting interest. */
const open = async (t: Test, wanted: readonly string[] = [], followed = wanted) => {
  const nats = await startNats(t)
  const steady = await nats.connect()
  const layout = await discoverLog(steady.connection)
  const log = new JetStreamEventLog(steady, layout)
  await writeDigests(t, await nats.connect())
  const proxy = await nats.proxy()
  const connected = await nats.connect(proxy.url)
  const notices: string[] = []
  const feed = new NatsLiveFeed(connected, layout, {
    checkMs: 200,
    interest: 'conversations',
    onNotice: notice => notices.push(notice),
  })
  const seen: StoredEvent[] = []
  feed.listen(event => seen.push(event))
  feed.narrowTo({
    needsConversation: c => wanted.includes(c),
    needsMarkers: () => false,
    conversations: () => followed,
    watch: () => {},
  })
  await feed.start()
  t.teardown(async () => {
    await feed.stop()
    log.close()
  })
  await until(() => feed.followed.isNarrow)
  return { nats, steady, log, proxy, connected, feed, seen, notices }
}

t.test('a digest beyond the end of the stream does not cause endless reads', async t => {
  const { steady, log, feed, seen } = await open(t, ['mine'])
  const { connection } = steady
  const { position } = await log.append(conversation('mine'), 0, newEvents(1, 3))
  await until(() => feed.position('CONV_0') === 3)
  let asked = 0
  connection.subscribe('$JS.API.STREAM.MSG.GET.CONV_0', { callback: () => void asked++ })
  // As by a writer that has not noticed the lost tail of the stream: its old end, and what it had there.
  connection.publish(digestSubject('CONV_0'), new DigestDraft(1_000).encode(1_000))
  await connection.flush()
  await sleep(500)
  t.ok(asked > 0 && asked < 5, `asked ${asked} times`)
  asked = 0
  const lost = new DigestDraft(3)
  lost.add(asLive({ stream: 'CONV_0', streamSeq: 5, aggregate: conversation('mine'), ...newEvent(5) }))
  connection.publish(digestSubject('CONV_0'), lost.encode(5))
  await connection.flush()
  await sleep(500)
  t.ok(asked > 0 && asked < 5, `asked ${asked} times`)
  await log.append(conversation('mine'), position.streamSeq, newEvents(4, 50))
  await until(() => feed.position('CONV_0') === 53)
  t.same(
    seen.map(event => event.streamSeq),
    Array.from({ length: 53 }, (_, n) => n + 1),
  )
})

t.test('when another digest writer starts, the feed stays narrow', async t => {
  const { nats, log, feed, notices } = await open(t)
  const aggregates = [conversation(), user()]
  let isOver = false
  const appending = aggregates.map(async aggregate => {
    let expected = 0
    for (let seq = 1; !isOver; seq++) {
      expected = (await log.append(aggregate, expected, [newEvent(seq)])).position.streamSeq
      await sleep(5)
    }
  })
  for (let n = 0; n < 4; n++) {
    await writeDigests(t, await nats.connect())
    await sleep(1_500)
  }
  isOver = true
  await Promise.all(appending)
  t.ok(feed.followed.isNarrow)
  t.same(
    notices.filter(notice => notice.includes('missing or late')),
    [],
  )
})

t.test('a stream that lost its tail is followed from its present end', async t => {
  const { steady, log, feed, seen, notices } = await open(t, ['mine'])
  const { connection } = steady
  await log.append(conversation('mine'), 0, newEvents(1, 50))
  await until(() => seen.length === 50)
  const manager = await openManager(connection)
  // Like a restore from a backup.
  await manager.streams.delete('CONV_0')
  await applyStreams(connection, loadStreams())
  let asked = 0
  connection.subscribe('$JS.API.STREAM.MSG.GET.CONV_0', { callback: () => void asked++ })
  await until(() => feed.position('CONV_0') === 0)
  t.ok(notices.some(notice => notice.includes('CONV_0 lost its last messages')))
  // Digest writers check less often, and report the stream's old end for a while.
  await sleep(3_000)
  t.ok(asked < 20, `asked ${asked} times`)
  await log.append(conversation('other'), 0, newEvents(1, 2))
  await log.append(conversation('mine'), 0, newEvents(1, 2))
  await until(() => seen.length === 52)
  t.same(
    seen.slice(50).map(event => event.streamSeq),
    [3, 4],
  )
  t.ok(feed.followed.isNarrow)
})

t.test('after a lost connection it stays narrow, also with an idle stream', async t => {
  const { log, feed, proxy, connected, notices } = await open(t)
  const aggregate = conversation()
  let expected = 0
  for (let n = 1; n <= 6; n++) {
    proxy.block(true)
    await until(() => !connected.connected())
    expected = (await log.append(aggregate, expected, [newEvent(n)])).position.streamSeq
    proxy.block(false)
    await until(() => feed.position('CONV_0') === expected)
    await sleep(600 + 100 * n)
  }
  t.same(
    notices.filter(notice => notice.includes('missing or late')),
    [],
  )
})

t.test('momentary interest keeps up, however much there is', async t => {
  const { log, feed, steady, notices } = await open(t, ['mine'], [])
  let asked = 0
  steady.connection.subscribe('$JS.API.DIRECT.GET.CONV_0', { callback: () => void asked++ })
  const append = async (id: string, batch: number): Promise<void> => {
    let expected = 0
    for (let seq = 1; seq <= 3_000; seq += batch)
      expected = (await log.append(conversation(id), expected, newEvents(seq, batch))).position.streamSeq
  }
  await Promise.all([append('mine', 1_000), ...['a', 'b', 'c'].map(id => append(id, 100))])
  await until(() => feed.position('CONV_0') === 12_000)
  t.ok(asked < 200, `asked ${asked} times`)
  t.ok(feed.followed.isNarrow)
  t.same(
    notices.filter(notice => notice.includes('missing or late')),
    [],
  )
})

t.test('it knows that it is fresh as soon as all stored events are accounted for', async t => {
  const { log, feed } = await open(t)
  let isOver = false
  const appending = Array.from({ length: 4 }, async () => {
    const aggregate = conversation()
    let expected = 0
    for (let seq = 1; !isOver; seq++)
      expected = (await log.append(aggregate, expected, [newEvent(seq)])).position.streamSeq
  })
  const looks: number[] = []
  for (let look = 0; look < 200; look++) {
    await sleep(10)
    looks.push(feed.staleness())
  }
  isOver = true
  await Promise.all(appending)
  const average = looks.reduce((sum, look) => sum + look, 0) / looks.length
  t.ok(average < 300, `${Math.round(average)} ms`)
})

t.test('a stop ends at once, also without NATS', async t => {
  const { feed, proxy, connected } = await open(t, ['mine'])
  proxy.block(true)
  await until(() => !connected.connected())
  const began = performance.now()
  await feed.stop()
  t.ok(performance.now() - began < 100)
})

t.test('a foreign message is skipped', async t => {
  const { steady, log, feed, seen } = await open(t, ['mine'])
  const { connection } = steady
  connection.publish(subjectOf(conversation('mine')), 'no envelope')
  connection.publish('conv.300.nowhere', 'no bucket')
  await connection.flush()
  await log.append(conversation('mine'), 1, [newEvent(1)])
  await until(() => seen.length === 1)
  t.equal(feed.position('CONV_0'), 3)
})
