import { setTimeout as sleep } from 'node:timers/promises'
import { pack } from 'msgpackr'
import t, { type Test } from 'tap'
import { createFollowingStates, type Interest } from '../../../src/commands/index.ts'
import type { StoredEvent } from '../../../src/events/index.ts'
import type { Worth } from '../../../src/infra/nats/feed/interest-switch.ts'
import { discoverLog, JetStreamEventLog, NatsLiveFeed } from '../../../src/infra/nats/index.ts'
import { testLiveFeed } from '../../contracts/live-feed.ts'
import { conversation, newEvent, newEvents, newMarker, user } from '../../contracts/new-events.ts'
import { writeDigests } from '../../harness/digests.ts'
import { startNats } from '../../harness/nats.ts'

const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await sleep(5)
}

/** An interest that a test changes. */
class TestInterest implements Interest {
  readonly #conversations = new Set<string>()
  /** Users that are connected here. */
  readonly users = new Set<string>()
  #watcher: (c: string, isNeeded: boolean) => void = () => {}

  needsConversation(c: string): boolean {
    return this.#conversations.has(c)
  }

  needsMarkers(user: string, c: string): boolean {
    return this.users.has(user) || this.#conversations.has(c)
  }

  conversations(): Iterable<string> {
    return this.#conversations
  }

  watch(watcher: (c: string, isNeeded: boolean) => void): void {
    this.#watcher = watcher
  }

  /** `quietly`: as a conversation that is needed for a short time, which the feed does not subscribe to. */
  add(c: string, quietly = false): void {
    this.#conversations.add(c)
    if (!quietly) this.#watcher(c, true)
  }

  remove(c: string): void {
    this.#conversations.delete(c)
    this.#watcher(c, false)
  }
}

interface Passed {
  readonly family: string
  readonly c: string
  readonly seq: number
  readonly streamSeq: number
}

/** A feed behind a proxy that becomes narrow as soon as there are digests. */
const open = async (t: Test, options: { withDigests?: boolean; worth?: Worth } = {}) => {
  const nats = await startNats(t)
  const steady = await nats.connect()
  const layout = await discoverLog(steady.connection)
  const log = new JetStreamEventLog(steady, layout)
  const digesting = await nats.connect()
  if (options.withDigests !== false) await writeDigests(t, digesting)
  const proxy = await nats.proxy()
  const connected = await nats.connect(proxy.url)
  const notices: string[] = []
  const feed = new NatsLiveFeed(connected, layout, {
    checkMs: 200,
    ...(options.worth === undefined
      ? { interest: 'conversations' }
      : { interest: 'auto', worth: options.worth }),
    onNotice: notice => notices.push(notice),
  })
  const snapshots = { load: async () => undefined, save: async () => {} }
  const states = createFollowingStates({ log, feed, snapshots })
  const seen: StoredEvent[] = []
  const passed: Passed[] = []
  /** Both, in order of arrival. */
  const places: number[] = []
  feed.listen(
    event => {
      seen.push(event)
      if (event.stream === 'CONV_0') places.push(event.streamSeq)
    },
    ({ family, id }, seq, { stream, streamSeq }) => {
      passed.push({ family, c: id, seq, streamSeq })
      if (stream === 'CONV_0') places.push(streamSeq)
    },
  )
  const wants = new TestInterest()
  feed.narrowTo(wants)
  await feed.start()
  t.teardown(async () => {
    await feed.stop()
    log.close()
  })
  return { nats, log, proxy, digesting, connected, feed, states, seen, passed, places, wants, notices }
}

const narrow = (feed: NatsLiveFeed): Promise<void> => until(() => feed.followed.isNarrow)

t.test('the contract of a live feed, with interest in everything', async t => {
  const nats = await startNats(t)
  const steady = await nats.connect()
  await writeDigests(t, steady)
  testLiveFeed(t, async t => {
    const layout = await discoverLog(steady.connection)
    const log = new JetStreamEventLog(steady, layout)
    const proxy = await nats.proxy()
    const feed = new NatsLiveFeed(await nats.connect(proxy.url), layout, { interest: 'conversations' })
    feed.narrowTo({
      needsConversation: () => true,
      needsMarkers: () => true,
      conversations: () => [],
      watch: () => {},
    })
    const start = feed.start.bind(feed)
    feed.start = async () => {
      const positions = await start()
      await narrow(feed)
      return positions
    }
    t.teardown(() => log.close())
    return { feed, log, disturb: () => proxy.cutAtRandom(200) }
  })
})

t.test('events of interest are delivered, and the rest is reported as skipped', async t => {
  const { log, feed, seen, passed, places, wants } = await open(t)
  const [mine, other] = [conversation('mine'), conversation('other')]
  wants.add('mine')
  await narrow(feed)
  t.equal(feed.followed.conversations, 1)
  await log.append(other, 0, newEvents(1, 3))
  await log.append(mine, 0, newEvents(1, 2))
  const { position } = await log.append(other, 3, newEvents(4, 2))
  await until(() => feed.position('CONV_0') === position.streamSeq)
  t.same(places, [1, 2, 3, 4, 5, 6, 7])
  t.same(
    seen.map(({ aggregate, envelope }) => [aggregate.id, envelope.seq]),
    [
      ['mine', 1],
      ['mine', 2],
    ],
  )
  t.same(
    passed.map(({ c, seq }) => [c, seq]),
    [1, 2, 3, 4, 5].map(seq => ['other', seq]),
  )
})

t.test(
  'membership changes are delivered in any case, and events of users that a digest cannot describe',
  async t => {
    const { log, feed, seen, passed } = await open(t)
    await narrow(feed)
    const joined = newEvent(1, { type: 'member.joined' })
    const mark = newEvent(1, { type: 'read.marked', n: 0 })
    await log.append(conversation('c'), 0, [joined])
    await log.append(user('u'), 0, [mark])
    await until(() => seen.length === 2)
    const [first, second] = [...seen].sort((a, b) => (a.stream < b.stream ? -1 : 1))
    t.same(first?.envelope, joined.envelope)
    t.same(first?.aggregate, conversation('c'))
    t.equal(Buffer.compare(first?.data ?? Buffer.alloc(0), joined.data), 0)
    t.same(second?.envelope, mark.envelope)
    t.same(second?.aggregate, user('u'))
    t.same(passed, [])
  },
)

t.test('of the markers, those of needed users and conversations are delivered', async t => {
  const { log, feed, seen, passed, wants } = await open(t)
  wants.add('mine')
  wants.users.add('u1')
  await narrow(feed)
  const markers = [
    ['u1', 'mine'],
    ['u1', 'other'],
    ['u2', 'mine'],
    ['u2', 'other'],
  ] as const
  const heads = { u1: { seq: 0, at: 0 }, u2: { seq: 0, at: 0 } }
  for (let round = 0; round < 10; round++)
    for (const [u, c] of markers) {
      const head = heads[u]
      const marker = newMarker(u, ++head.seq, c)
      head.at = (await log.append(user(u), head.at, [marker])).position.streamSeq
    }
  await until(() => feed.position('USER_0') === 40)
  t.same(
    seen.map(({ aggregate, envelope, streamSeq }) => [aggregate.id, envelope.seq, streamSeq]),
    Array.from({ length: 10 }, (_, round) => [
      ['u1', 2 * round + 1, 4 * round + 1],
      ['u1', 2 * round + 2, 4 * round + 2],
      ['u2', 2 * round + 1, 4 * round + 3],
    ]).flat(),
  )
  t.same(
    passed,
    Array.from({ length: 10 }, (_, round) => ({
      family: 'user',
      c: 'u2',
      seq: 2 * round + 2,
      streamSeq: 4 * round + 4,
    })),
  )
})

t.test('a cached user whose markers were skipped is read from the log', async t => {
  const { log, feed, states, seen, passed, wants } = await open(t)
  await narrow(feed)
  t.equal(states.holdsUser('u'), false)
  let at = (await log.append(user('u'), 0, [newMarker('u', 1, 'c')])).position.streamSeq
  t.equal((await states.user('u')).readMark('c'), 1)
  t.ok(states.holdsUser('u'))
  await until(() => feed.position('USER_0') === 1)
  t.notOk(states.user('u') instanceof Promise, 'fresh, and answered at once')
  at = (await log.append(user('u'), at, [newMarker('u', 2, 'c')])).position.streamSeq
  await until(() => passed.length > 0 && feed.position('USER_0') === 2)
  const behind = states.user('u')
  t.ok(behind instanceof Promise, 'it knows that it is behind')
  t.equal((await behind).readMark('c'), 2)
  t.notOk(states.user('u') instanceof Promise)
  // The next marker is delivered again, after one that was skipped.
  at = (await log.append(user('u'), at, [newMarker('u', 3, 'c')])).position.streamSeq
  await until(() => feed.position('USER_0') === 3)
  wants.users.add('u')
  at = (await log.append(user('u'), at, [newMarker('u', 4, 'c')])).position.streamSeq
  await until(() => seen.some(({ envelope }) => envelope.seq === 4))
  t.equal((await states.user('u')).readMark('c'), 4)
  at = (await log.append(user('u'), at, [newMarker('u', 5, 'c')])).position.streamSeq
  await until(() => seen.some(({ envelope }) => envelope.seq === 5))
  const fresh = states.user('u')
  t.notOk(fresh instanceof Promise)
  t.equal((await fresh).readMark('c'), 5)
})

t.test(
  'a body of the maximum size is carried, and large contents are split into several digests',
  async t => {
    const { log, feed, seen } = await open(t)
    await narrow(feed)
    const large = () => ({
      ...newEvent(1, { type: 'conversation.created' }),
      data: Buffer.alloc(250_000, 'x'),
    })
    await Promise.all(Array.from({ length: 8 }, () => log.append(conversation(), 0, [large()])))
    await until(() => seen.length === 8)
    t.ok(seen.every(event => event.data.length === 250_000))
    t.ok(feed.followed.isNarrow)
  },
)

t.test('new interest is served from that turn on, subscribed or not', async t => {
  const { log, feed, seen, passed, places, wants } = await open(t)
  await narrow(feed)
  const aggregate = conversation('late')
  let expected = (await log.append(aggregate, 0, newEvents(1, 2))).position.streamSeq
  await until(() => passed.length === 2)
  // The digest of these events may be in transit already.
  const appended = log.append(aggregate, expected, newEvents(3, 50))
  wants.add('late', true)
  expected = (await appended).position.streamSeq
  await until(() => feed.position('CONV_0') === expected)
  t.same(
    places,
    Array.from({ length: 52 }, (_, n) => n + 1),
  )
  t.same(
    seen.map(event => event.envelope.seq),
    Array.from({ length: 50 }, (_, n) => n + 3),
  )
  wants.add('late')
  await until(() => feed.followed.conversations === 1)
  expected = (await log.append(aggregate, expected, newEvents(53, 20))).position.streamSeq
  await until(() => seen.length === 70)
  wants.remove('late')
  await log.append(aggregate, expected, [newEvent(73)])
  await until(() => feed.position('CONV_0') === 73)
  t.same(
    places,
    Array.from({ length: 73 }, (_, n) => n + 1),
  )
})

t.test('whatever is cut, each event is delivered or skipped once, in order', async t => {
  const { log, feed, seen, passed, places, wants, proxy } = await open(t)
  const ids = Array.from({ length: 8 }, (_, n) => `c${n}`)
  for (const id of ids.slice(0, 4)) wants.add(id)
  await narrow(feed)
  const calm = proxy.cutAtRandom(200)
  const heads = await Promise.all(
    ids.map(async id => {
      let expected = 0
      for (let seq = 1; seq <= 300; seq++) {
        expected = (await log.append(conversation(id), expected, [newEvent(seq)])).position.streamSeq
        if (seq % 20 === 0) await sleep(20)
      }
      return expected
    }),
  )
  calm()
  await until(() => feed.position('CONV_0') === Math.max(...heads))
  t.same(
    places,
    Array.from({ length: 2_400 }, (_, n) => n + 1),
  )
  for (const id of ids.slice(0, 4))
    t.same(
      seen.filter(event => event.aggregate.id === id).map(event => event.envelope.seq),
      Array.from({ length: 300 }, (_, n) => n + 1),
      id,
    )
  t.ok(passed.every(({ c }) => !wants.needsConversation(c)))
})

t.test('without digests it follows everything', async t => {
  const { nats, log, feed, seen, wants } = await open(t, { withDigests: false })
  wants.add('mine')
  let asked = 0
  const { connection } = await nats.connect()
  connection.subscribe('digests.v2.request', { callback: () => void asked++ })
  await until(() => asked > 1)
  await log.append(conversation('other'), 0, newEvents(1, 2))
  await until(() => seen.length === 2)
  t.notOk(feed.followed.isNarrow)
})

t.test('when digests end it follows everything again, and misses nothing', async t => {
  const { log, feed, seen, passed, places, digesting, notices, wants } = await open(t)
  wants.add('mine')
  await narrow(feed)
  let expected = (await log.append(conversation('other'), 0, newEvents(1, 5))).position.streamSeq
  await until(() => passed.length === 5)
  // Like a killed process.
  await digesting.connection.close()
  expected = (await log.append(conversation('other'), expected, newEvents(6, 5))).position.streamSeq
  await until(() => feed.position('CONV_0') === expected)
  await until(() => !feed.followed.isNarrow)
  t.ok(notices.some(notice => notice.includes('digests are missing or late')))
  await log.append(conversation('mine'), 0, newEvents(1, 2))
  await until(() => feed.position('CONV_0') === 12)
  t.same(
    places,
    Array.from({ length: 12 }, (_, n) => n + 1),
  )
  t.equal(feed.followed.conversations, 0)
  t.equal(seen.at(-1)?.aggregate.id, 'mine')
})

t.test('it becomes narrow while that saves CPU, and wide when it no longer does', async t => {
  // A thousandth of the usual threshold: about twenty events per second.
  const { log, feed, places, wants } = await open(t, { worth: { narrow: 50, wide: 20 } })
  wants.add('mine')
  const head = { mine: 0, other: 0, seq: 0 }
  const appendBoth = async (): Promise<void> => {
    head.seq++
    for (const c of ['mine', 'other'] as const)
      head[c] = (await log.append(conversation(c), head[c], [newEvent(head.seq)])).position.streamSeq
  }
  t.notOk(feed.followed.isNarrow)
  while (!feed.followed.isNarrow) {
    await appendBoth()
    await sleep(5)
  }
  t.equal(feed.followed.conversations, 1)
  for (let n = 0; n < 20; n++) await appendBoth()
  await until(() => feed.position('CONV_0') === head.other)
  t.ok(feed.followed.skipped > 0)
  await until(() => !feed.followed.isNarrow)
  t.equal(feed.followed.conversations, 0)
  await appendBoth()
  await until(() => feed.position('CONV_0') === head.other)
  t.same(
    places,
    Array.from({ length: head.other }, (_, n) => n + 1),
  )
})

t.test('an invalid digest is reported and changes nothing', async t => {
  const { nats, log, feed, places, notices } = await open(t)
  await narrow(feed)
  const { connection } = await nats.connect()
  connection.publish('digests.v2.of.CONV_0', 'nonsense')
  connection.publish(
    'digests.v2.of.CONV_0',
    pack({ from: 0, to: 1_000, offsets: 1, ids: 1, seqs: 1, complete: [] }),
  )
  connection.publish('digests.v2.of.NO_SUCH_STREAM', '')
  await connection.flush()
  await until(() => notices.filter(notice => notice.includes('is invalid')).length === 3)
  await log.append(conversation(), 0, newEvents(1, 3))
  await until(() => feed.position('CONV_0') === 3)
  t.same(places, [1, 2, 3])
})
