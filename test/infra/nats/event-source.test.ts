import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { ConflictError } from '../../../src/commands/index.ts'
import { type StoredEvent, subjectOf } from '../../../src/events/index.ts'
import { discoverLog, JetStreamEventLog, NatsEventSource } from '../../../src/infra/nats/index.ts'
import { loadStreams } from '../../../src/infra/nats/log/streams.ts'
import { conversation, newEvent, newEvents, user } from '../../contracts/new-events.ts'
import { type StartNatsOptions, startNats, type TestNats } from '../../harness/nats.ts'
import { urlOf } from '../../harness/nats-users.ts'

const sequences = (first: number, last: number): number[] =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index)

const collect = async (batches: AsyncIterable<readonly StoredEvent[]>): Promise<StoredEvent[]> => {
  const all: StoredEvent[] = []
  for await (const events of batches) all.push(...events)
  return all
}

/** Each way to read a stream, with the user of NATS that reads so. */
const readers = [
  ['a consumer', undefined],
  ['requests', 'projections'],
] as const

for (const [reader, asUser] of readers)
  t.test(`reading by ${reader}`, async t => {
    const start = (t: Test, more: StartNatsOptions = {}) =>
      startNats(t, { ...more, hasUsers: asUser !== undefined })

    const open = async (t: Test, nats: TestNats, url = nats.url) => {
      const steady = await nats.connect()
      const layout = await discoverLog(steady.connection)
      const log = new JetStreamEventLog(steady, layout, { timeoutMs: 1_000 })
      const reading =
        asUser === undefined
          ? await nats.connect(url)
          : await nats.connectAs(asUser, { servers: urlOf(Number(new URL(url).port), asUser) })
      const source = new NatsEventSource(reading, layout)
      t.teardown(() => {
        source.close()
        log.close()
      })
      return { connection: steady.connection, log, source }
    }

    t.test('the streams and their bounds', async t => {
      const { log, source } = await open(t, await start(t))
      await log.append(conversation(), 0, newEvents(1, 7))
      t.same(await source.streams(), [
        { stream: 'CONV_0', first: 1, last: 7, missing: 0 },
        { stream: 'USER_0', first: 0, last: 0, missing: 0 },
      ])
    })

    t.test('it catches up, reports that, and follows', async t => {
      const { log, source } = await open(t, await start(t))
      const aggregate = conversation()
      const { position } = await log.append(aggregate, 0, newEvents(1, 1000))
      const abort = new AbortController()
      const seen: number[] = []
      const ends: number[] = []
      let more: Promise<unknown> | undefined
      for await (const events of source.consume('CONV_0', 100, { signal: abort.signal, batch: 70 })) {
        t.ok(events.length <= 70)
        if (events.length === 0) ends.push(seen.length)
        seen.push(...events.map(event => event.streamSeq))
        if (events.length === 0) more ??= log.append(aggregate, position.streamSeq, newEvents(1001, 50))
        if (seen.length === 950) abort.abort()
      }
      await more
      t.same(seen, sequences(101, 1050))
      t.equal(ends[0], 900, 'an empty batch at the end')
    })

    t.test('an empty stream is reported at once, and so is one that was read to its end', async t => {
      const { log, source } = await open(t, await start(t))
      await log.append(conversation(), 0, newEvents(1, 3))
      for (const [stream, after] of [
        ['USER_0', 0],
        ['CONV_0', 3],
      ] as const) {
        const abort = new AbortController()
        for await (const events of source.consume(stream, after, { signal: abort.signal })) {
          t.same(events, [])
          abort.abort()
        }
      }
    })

    t.test('it can be aborted while it waits', async t => {
      const { source } = await open(t, await start(t))
      const abort = new AbortController()
      let looks = 0
      setTimeout(() => abort.abort(), 50)
      for await (const _ of source.consume('USER_0', 0, { signal: abort.signal })) looks++
      t.equal(looks, 1)
      for await (const _ of source.consume('USER_0', 0, { signal: abort.signal }))
        t.fail('was aborted before')
    })

    t.test('a range ends at its end, or at the stream’s', async t => {
      const { log, source } = await open(t, await start(t))
      await log.append(conversation(), 0, newEvents(1, 1000))
      const read = async (after: number, until: number) =>
        (await collect(source.range('CONV_0', after, until))).map(event => event.streamSeq)
      t.same(await read(0, 1000), sequences(1, 1000))
      t.same(await read(498, 503), sequences(499, 503))
      t.same(await read(990, 2000), sequences(991, 1000))
      t.same(await read(5, 5), [])
      t.same(await read(1000, 2000), [])
    })

    t.test('the first event since a time', async t => {
      const { log, source } = await open(t, await start(t))
      await log.append(conversation(), 0, newEvents(1, 10))
      await sleep(20)
      const between = new Date()
      await sleep(20)
      await log.append(conversation(), 0, newEvents(1, 10))
      t.equal(await source.firstSince('CONV_0', new Date(0)), 1)
      t.equal(await source.firstSince('CONV_0', between), 11)
      t.equal(await source.firstSince('CONV_0', new Date(Date.now() + 60_000)), 21)
      t.equal(await source.firstSince('USER_0', between), 1, 'of an empty stream')
    })

    t.test('foreign messages do not stop it, and can be reported', async t => {
      const { connection, log, source } = await open(t, await start(t))
      const aggregate = conversation()
      await log.append(aggregate, 0, [newEvent(1)])
      connection.publish('conv.1.not-in-this-bucket', 'no envelope')
      connection.publish(subjectOf(conversation('stray')), new Uint8Array(0))
      await connection.flush()
      const { position } = await log.append(conversation(), 0, [newEvent(1)])
      t.equal(position.streamSeq, 4)
      const events = await collect(source.range('CONV_0', 0, 4))
      t.same(
        events.map(({ streamSeq, envelope }) => [streamSeq, envelope.type]),
        [
          [1, 'message.posted'],
          [2, ''],
          [3, ''],
          [4, 'message.posted'],
        ],
      )
      t.same(await collect(log.read(conversation('stray'), 0)), [], 'an aggregate does not read it')
    })

    t.test('a slow reader loses nothing', async t => {
      const { log, source } = await open(t, await start(t))
      let expected = 0
      const aggregate = conversation()
      for (let first = 1; first <= 20_000; first += 1000)
        expected = (await log.append(aggregate, expected, newEvents(first, 1000))).position.streamSeq
      let next = 1
      for await (const events of source.range('CONV_0', 0, 20_000)) {
        if (next % 5 === 0) await sleep(10)
        for (const event of events)
          if (event.streamSeq !== next++) t.fail(`${event.streamSeq} instead of ${next - 1}`)
      }
      t.equal(next, 20_001)
    })

    t.test('whatever is cut or killed, every event is read once and in order', async t => {
      const nats = await start(t)
      const proxy = await nats.proxy()
      const { log, source } = await open(t, nats, proxy.url)
      const abort = new AbortController()
      const total = 2_000
      const writes = [conversation(), conversation(), user()].map(async aggregate => {
        let expected = 0
        for (let seq = 1; seq <= total / 2; ) {
          const event = newEvent(seq)
          try {
            expected = (await log.append(aggregate, expected, [event])).position.streamSeq
            seq++
          } catch (error) {
            await sleep(20)
            const last = await log.last(aggregate).catch(() => undefined)
            if (!ConflictError.is(error) && last === undefined) continue
            expected = last?.streamSeq ?? expected
            seq = (last?.envelope.seq ?? 0) + 1
          }
        }
      })
      const calm = proxy.cutAtRandom(300)
      const faults = (async () => {
        for (let kill = 0; kill < 2; kill++) {
          await sleep(300)
          await nats.kill9()
          await nats.restart()
        }
        await Promise.all(writes)
        calm()
      })()
      const seen: number[] = []
      for await (const events of source.consume('CONV_0', 0, { signal: abort.signal })) {
        seen.push(...events.map(event => event.streamSeq))
        if (seen.length >= total) abort.abort()
      }
      await faults
      t.same(seen, sequences(1, total))
    })

    t.test('an event with the later ones of its aggregate, up to a sequence', async t => {
      const { connection, log, source } = await open(t, await start(t))
      const [one, other] = [conversation(), conversation()]
      const { position } = await log.append(one, 0, newEvents(1, 3))
      await log.append(other, 0, newEvents(1, 5))
      const { position: end } = await log.append(one, position.streamSeq, newEvents(4, 700))
      connection.publish(subjectOf(conversation('stray')), new Uint8Array(0))
      await connection.flush()
      const read = async (streamSeq: number, until: number) =>
        (await collect(source.sequel({ stream: 'CONV_0', streamSeq }, until))).map(event => event.streamSeq)
      t.same(await read(2, end.streamSeq), [2, 3, ...sequences(9, 708)])
      t.same(await read(2, 10), [2, 3, 9, 10])
      t.same(await read(3, 3), [3])
      t.same(await read(4, 9999), sequences(4, 8), 'the end of the aggregate')
      t.same(await read(709, 9999), [709], 'foreign messages')
      t.same(await read(710, 9999), [])
      for await (const events of source.sequel({ stream: 'CONV_0', streamSeq: 2 }, 10))
        t.equal(events.length, 4, 'the event is not alone')
    })

    t.test('deleted sequences leave no gap that it would wait for', async t => {
      const nats = await start(t, { streams: false })
      const { connection } = await nats.connect()
      const { applyStreams, openManager } = await import('../../../src/infra/nats/log/streams.ts')
      await applyStreams(
        connection,
        loadStreams().map(definition => ({ ...definition, deny_delete: false })),
      )
      const { log, source } = await open(t, nats)
      await log.append(conversation(), 0, newEvents(1, 10))
      const manager = await openManager(connection)
      for (const seq of [1, 5, 6, 10]) await manager.streams.deleteMessage('CONV_0', seq)
      const seen = await collect(source.range('CONV_0', 0, 10))
      t.same(
        seen.map(event => event.streamSeq),
        [2, 3, 4, 7, 8, 9],
      )
    })
  })
