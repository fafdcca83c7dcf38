import type { Test } from 'tap'
import { ConflictError, type EventLog, type LiveFeed } from '../../src/commands/index.ts'
import type { AggregateRef, Envelope, StoredEvent } from '../../src/events/index.ts'
import { conversation, newEvent, newEvents, newMarker, user } from './new-events.ts'

export interface LiveFeedUnderTest {
  /** Not started yet. */
  readonly feed: LiveFeed
  /** The feed delivers what is appended here. */
  readonly log: EventLog
  /** Disturbs the feed's transport until the returned function is called; does nothing where nothing can be lost. */
  disturb(): () => void
}

/** Resolves when a condition holds; checked after each delivery and periodically. */
const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await new Promise(resolve => setTimeout(resolve, 5))
}

/** The contract of LiveFeed. `open` closes everything with the test. */
export const testLiveFeed = (t: Test, open: (t: Test) => Promise<LiveFeedUnderTest>): void => {
  const started = async (t: Test) => {
    const under = await open(t)
    const seen: StoredEvent[] = []
    under.feed.listen(event => seen.push(event))
    const positions = await under.feed.start()
    t.teardown(() => under.feed.stop())
    return { ...under, seen, positions }
  }

  /** Appends at most this many events in sequence, for at most this long. Resolves with their number. */
  const appendEach = async (
    log: EventLog,
    aggregate: AggregateRef,
    count: number,
    ms = 60_000,
  ): Promise<number> => {
    const end = performance.now() + ms
    let expected = 0
    let seq = 0
    while (seq < count && performance.now() < end) {
      const event = newEvent(seq + 1)
      try {
        expected = (await log.append(aggregate, expected, [event])).position.streamSeq
        seq++
      } catch (error) {
        // A new leader may not have applied yet what its predecessor acknowledged: the caller reads again and retries.
        if (!ConflictError.is(error) || ((await log.last(aggregate))?.streamSeq ?? 0) !== expected)
          throw error
      }
    }
    return seq
  }

  t.test('events appended after the start are delivered once, in order and unchanged', async t => {
    const { feed, log } = await open(t)
    const before = await log.append(conversation(), 0, [newEvent(1)])
    const order: string[] = []
    const seen: StoredEvent[] = []
    feed.listen(event => {
      order.push('first')
      seen.push(event)
    })
    feed.listen(() => order.push('second'))
    const positions = await feed.start()
    t.teardown(() => feed.stop())
    const { stream } = before.position
    t.equal(positions.find(position => position.stream === stream)?.streamSeq, before.position.streamSeq)
    t.equal(feed.position(stream), before.position.streamSeq)
    t.equal(feed.position('NO_SUCH_STREAM'), undefined)

    const aggregate = conversation()
    const event = newEvent(1)
    const appended = await log.append(aggregate, 0, [event])
    await until(() => seen.length === 1)
    t.same(order, ['first', 'second'])
    t.same(seen[0]?.envelope, event.envelope)
    t.same(seen[0]?.aggregate, aggregate)
    t.equal(Buffer.compare(seen[0]?.data ?? Buffer.alloc(0), event.data), 0)
    t.same({ stream: seen[0]?.stream, streamSeq: seen[0]?.streamSeq }, appended.position)
    t.equal(feed.position(stream), appended.position.streamSeq)
    t.ok(feed.positions().some(position => position.streamSeq === appended.position.streamSeq))
  })

  t.test('it delivers conversations and users, single events and batches', async t => {
    const { log, seen } = await started(t)
    await Promise.all([appendEach(log, user(), 20), log.append(conversation(), 0, newEvents(1, 300))])
    await until(() => seen.length === 320)
    const users = seen.filter(event => event.aggregate.family === 'user')
    t.same(
      users.map(event => event.envelope.seq),
      Array.from({ length: 20 }, (_, index) => index + 1),
    )
  })

  t.test('the markers and settings of users arrive as they were stored', async t => {
    const { feed, log, seen } = await started(t)
    const aggregate = user()
    const setting = { ...newEvent(3, { type: 'user.blocked', n: 0 }), data: Buffer.from('{"user":"eve"}') }
    const events = [
      newMarker(aggregate.id, 1, 'c1', 'delivered.marked'),
      newMarker(aggregate.id, 2, 'c1'),
      setting,
      newMarker(aggregate.id, 4, 'c2'),
      // A body that confab does not write like this: a digest cannot describe it.
      { ...newMarker(aggregate.id, 5, 'c2'), data: Buffer.from('{ "c": "c2" }') },
    ]
    let expected = 0
    for (const event of events) expected = (await log.append(aggregate, expected, [event])).position.streamSeq
    await until(() => seen.length === events.length)
    const said = ({ type, version, seq, n, actor, epoch }: Envelope) => ({
      type,
      version,
      seq,
      n,
      actor,
      epoch,
    })
    for (const [index, event] of events.entries()) {
      t.same(seen[index]?.aggregate, aggregate)
      t.same(said(seen[index]!.envelope), said(event.envelope))
      t.equal(Buffer.compare(seen[index]!.data, event.data), 0, `body ${index + 1}`)
    }
    t.equal(feed.position(seen[0]!.stream), expected)
  })

  t.test('it knows how fresh it is', async t => {
    const { feed, log } = await started(t)
    await log.append(conversation(), 0, [newEvent(1)])
    await until(() => feed.staleness() < 60_000)
    t.ok(feed.staleness() >= 0)
    // It grows with time, and drops each time the feed has verified its position.
    let before = feed.staleness()
    await until(() => {
      const now = feed.staleness()
      const fell = now < before || now === 0
      before = now
      return fell
    })
  })

  t.test('after stop nothing is delivered', async t => {
    const { feed, log, seen } = await started(t)
    const aggregate = conversation()
    const { position } = await log.append(aggregate, 0, [newEvent(1)])
    await until(() => seen.length === 1)
    await feed.stop()
    await log.append(aggregate, position.streamSeq, [newEvent(2)])
    t.equal(seen.length, 1)
  })

  t.test(
    'whatever is cut, every event is delivered once and in order, also the last before a silence',
    async t => {
      const { feed, log, seen, disturb } = await started(t)
      for (let round = 1; round <= 3; round++) {
        const aggregates = [conversation(), conversation(), user()]
        const before = seen.length
        const calm = disturb()
        const counts = await Promise.all(
          aggregates.map(aggregate => appendEach(log, aggregate, 1_000, 1_000)),
        )
        // The connections may stay silent in their last state; the tail has to arrive nevertheless.
        calm()
        const total = counts.reduce((sum, count) => sum + count, 0)
        await until(() => seen.length >= before + total)
        aggregates.forEach(({ family, id }, index) => {
          t.same(
            seen.filter(event => event.aggregate.id === id).map(event => event.envelope.seq),
            Array.from({ length: counts[index] ?? 0 }, (_, position) => position + 1),
            `round ${round}: ${family}`,
          )
        })
      }
      const last = new Map<string, number>()
      t.ok(
        seen.every(({ stream, streamSeq }) => {
          const inOrder = streamSeq > (last.get(stream) ?? 0)
          last.set(stream, streamSeq)
          return inOrder
        }),
        'in the order of its stream',
      )
      for (const { stream, streamSeq } of feed.positions()) t.ok(streamSeq >= (last.get(stream) ?? 0))
    },
  )
}
