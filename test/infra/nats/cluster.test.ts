import t from 'tap'
import { ConflictError } from '../../../src/commands/index.ts'
import {
  applyStreams,
  discoverLog,
  JetStreamEventLog,
  loadStreams,
  NatsLiveFeed,
  streamsStatus,
} from '../../../src/infra/nats/index.ts'
import { testEventLog } from '../../contracts/event-log.ts'
import { testLiveFeed } from '../../contracts/live-feed.ts'
import { conversation, newEvent } from '../../contracts/new-events.ts'
import { writeDigests } from '../../harness/digests.ts'
import { startCluster } from '../../harness/nats-cluster.ts'

t.test('on a cluster of three', { timeout: 240_000 }, async t => {
  const cluster = await startCluster(t)
  const nats = await cluster.connect()
  const layout = await discoverLog(nats.connection)

  t.test('a process without a number of replicas leaves them unchanged', async t => {
    const applied = await applyStreams(nats.connection, loadStreams())
    t.same([...new Set(applied.map(({ outcome }) => outcome))], ['unchanged'])
    const streams = await streamsStatus(nats, loadStreams())
    t.ok(
      streams.every(({ replicas, drift }) => replicas === 3 && drift.length === 0),
      JSON.stringify(streams),
    )
  })

  t.test('the event log', async t => {
    testEventLog(t, async t => {
      const log = new JetStreamEventLog(nats, layout)
      t.teardown(() => log.close())
      return log
    })
  })

  t.test('the live feed of a node that is connected to another server', async t => {
    testLiveFeed(t, async t => {
      const log = new JetStreamEventLog(nats, layout)
      t.teardown(() => log.close())
      const feed = new NatsLiveFeed(await cluster.connect(cluster.urls[1]), layout)
      return { feed, log, disturb: () => () => {} }
    })
  })

  t.test('a narrow live feed with digests from another server', async t => {
    await writeDigests(t, await cluster.connect(cluster.urls[2]))
    testLiveFeed(t, async t => {
      const log = new JetStreamEventLog(nats, layout)
      t.teardown(() => log.close())
      const feed = new NatsLiveFeed(await cluster.connect(cluster.urls[1]), layout, {
        interest: 'conversations',
      })
      // Some have subscriptions of their own; the others are read.
      const followed = Array.from({ length: 50 }, (_, n) => `followed-${n}`)
      feed.narrowTo({
        needsConversation: () => true,
        needsMarkers: () => true,
        conversations: () => followed,
        watch: () => {},
      })
      return { feed, log, disturb: () => () => {} }
    })
  })

  t.test('of several nodes that append to one conversation, one wins each time', async t => {
    const logs = await Promise.all(
      cluster.urls.map(async url => new JetStreamEventLog(await cluster.connect(url), layout)),
    )
    t.teardown(() => {
      for (const log of logs) log.close()
    })
    const aggregate = conversation()
    let expected = 0
    for (let seq = 1; seq <= 100; seq++) {
      const outcomes = await Promise.allSettled(
        [0, 1, 2, 0, 1, 2].map(node => logs[node]?.append(aggregate, expected, [newEvent(seq)])),
      )
      const won = outcomes.filter(outcome => outcome.status === 'fulfilled')
      const lost = outcomes.filter(outcome => outcome.status === 'rejected')
      if (won.length !== 1 || !lost.every(({ reason }) => ConflictError.is(reason)))
        t.fail(`round ${seq}: ${won.length} won, ${lost.map(({ reason }) => String(reason))}`)
      expected = won[0]?.value?.position.streamSeq ?? 0
    }
    t.equal((await logs[0]?.last(aggregate))?.envelope.seq, 100)
  })

  t.test(
    'acknowledged events survive kill -9 of each server, and are delivered live',
    { timeout: 90_000 },
    async t => {
      const log = new JetStreamEventLog(nats, layout, { timeoutMs: 1_000 })
      t.teardown(() => log.close())
      const feed = new NatsLiveFeed(await cluster.connect(), layout)
      t.teardown(() => feed.stop())
      const remember = (brought: Map<string, number[]>, c: string, seq: number): void => {
        const seqs = brought.get(c) ?? []
        brought.set(c, seqs)
        seqs.push(seq)
      }
      const brought = new Map<string, number[]>()
      feed.listen(({ aggregate, envelope }) => remember(brought, aggregate.id, envelope.seq))
      await feed.start()

      await writeDigests(t, await cluster.connect())
      const narrow = new NatsLiveFeed(await cluster.connect(), layout, { interest: 'conversations' })
      t.teardown(() => narrow.stop())
      const ids = Array.from({ length: 8 }, (_, n) => `writer-${n}`)
      const wanted = ids.slice(0, 4)
      /** Deliveries of the narrow feed, and what it skipped. */
      const mine = new Map<string, number[]>()
      const told = new Map<string, number[]>()
      narrow.listen(
        ({ aggregate, envelope }) => {
          remember(mine, aggregate.id, envelope.seq)
          remember(told, aggregate.id, envelope.seq)
        },
        ({ id }, seq) => remember(told, id, seq),
      )
      narrow.narrowTo({
        needsConversation: c => wanted.includes(c),
        needsMarkers: () => false,
        conversations: () => wanted,
        watch: () => {},
      })
      await narrow.start()
      while (!narrow.followed.isNarrow) await new Promise(resolve => setTimeout(resolve, 20))
      const acked = new Map<string, number>()
      let isOver = false
      const write = async (id: string): Promise<void> => {
        const aggregate = conversation(id)
        let expected = 0
        let event = newEvent(1)
        const advance = (streamSeq: number): void => {
          expected = streamSeq
          acked.set(aggregate.id, event.envelope.seq)
          event = newEvent(event.envelope.seq + 1)
        }
        while (!isOver)
          try {
            advance((await log.append(aggregate, expected, [event])).position.streamSeq)
          } catch {
            const last = await log.last(aggregate).catch(() => undefined)
            if (last?.envelope.commandId === event.envelope.commandId) advance(last.streamSeq)
            await new Promise(resolve => setTimeout(resolve, 20))
          }
      }
      const writers = ids.map(write)
      const total = (): number => [...acked.values()].reduce((sum, seq) => sum + seq, 0)
      for (let index = 0; index < 3; index++) {
        await cluster.kill9(index)
        const before = total()
        while (total() < before + 100) await new Promise(resolve => setTimeout(resolve, 20))
        await cluster.restart(index)
        const { connection } = await cluster.connect(cluster.urls[index])
        while ((await connection.request('$JS.API.INFO', '').catch(() => undefined)) === undefined)
          await new Promise(resolve => setTimeout(resolve, 50))
      }
      isOver = true
      await Promise.all(writers)
      t.ok(narrow.followed.skipped > 0)
      for (const [id, seq] of acked) {
        const seqs: number[] = []
        for await (const events of log.read(conversation(id), 0))
          seqs.push(...events.map(event => event.envelope.seq))
        t.ok(
          seqs.length >= seq && seqs.every((value, index) => value === index + 1),
          `${seq} acked, all there, gapless`,
        )
        // An event that a leader stored and did not live to publish is found by its sequence.
        while ((brought.get(id)?.length ?? 0) < seqs.length)
          await new Promise(resolve => setTimeout(resolve, 20))
        t.same(brought.get(id), seqs, 'and delivered live, once and in order')
        while ((told.get(id)?.length ?? 0) < seqs.length)
          await new Promise(resolve => setTimeout(resolve, 20))
        t.same(told.get(id), seqs, 'delivered or skipped by the narrow feed, once and in order')
        if (wanted.includes(id)) t.same(mine.get(id), seqs, 'and delivered by it')
      }
    },
  )

  // A copy that has lost the others keeps answering with the state of its stream.
  t.test('without a majority the feed is not considered fresh', { timeout: 110_000 }, async t => {
    const first = await cluster.connect(cluster.urls[0])
    const begin = async (): Promise<NatsLiveFeed> => {
      const feed = new NatsLiveFeed(first, layout)
      t.teardown(() => feed.stop())
      try {
        await feed.start()
        return feed
      } catch {
        // The cluster has not found all its leaders yet.
        return await begin()
      }
    }
    const feed = await begin()
    await cluster.kill9(1)
    await cluster.kill9(2)
    while (feed.staleness() < 10_000) await new Promise(resolve => setTimeout(resolve, 100))
    await cluster.restart(1)
    while (feed.staleness() > 5_000) await new Promise(resolve => setTimeout(resolve, 100))
  })
})
