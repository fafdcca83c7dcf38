import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { ConflictError } from '../../../src/commands/index.ts'
import { type AggregateRef, ConfabError, Family } from '../../../src/events/index.ts'
import {
  JetStreamEventLog,
  LiveLayout,
  NatsEventSource,
  NatsLiveFeed,
} from '../../../src/infra/nats/index.ts'
import { newEvent } from '../../contracts/new-events.ts'
import { movePartitions, movesOf } from '../../harness/move-partitions.ts'
import { startCluster } from '../../harness/nats-cluster.ts'

t.test('partitions move on a cluster of three, under load', { timeout: 180_000 }, async t => {
  const cluster = await startCluster(t)
  const nats = await cluster.connect(cluster.urls[0])
  const layout = await LiveLayout.open(nats)
  const log = new JetStreamEventLog(nats, layout)
  const other = await cluster.connect(cluster.urls[1])
  const otherLayout = await LiveLayout.open(other)
  const feed = new NatsLiveFeed(other, otherLayout)
  const source = new NatsEventSource(other, otherLayout)
  t.teardown(async () => {
    await feed.stop()
    source.close()
    log.close()
    layout.close()
    otherLayout.close()
  })
  const delivered = new Map<string, number[]>()
  feed.listen(({ aggregate: { id }, envelope: { seq } }) => {
    delivered.set(id, [...(delivered.get(id) ?? []), seq])
  })
  await feed.start()

  const ids = Array.from({ length: 32 }, (_, i) => `c-${i}`)
  const acked = new Map<string, number>()
  let isEnding = false
  const write = async (aggregate: AggregateRef): Promise<void> => {
    let position = 0
    for (let seq = 1; !isEnding; await sleep(2))
      try {
        position = (await log.append(aggregate, position, [newEvent(seq)])).position.streamSeq
        acked.set(aggregate.id, seq++)
      } catch (error) {
        if (!ConfabError.is(error) && !(error instanceof ConflictError)) throw error
        // An append without an answer may be stored.
        const last = await log.last(aggregate).catch(() => undefined)
        if (last === undefined || last.envelope.seq !== seq) continue
        position = last.streamSeq
        acked.set(aggregate.id, seq++)
      }
  }
  const writers = ids.map(id => write({ family: Family.conversation, id }))
  await sleep(500)
  for (const count of [2, 4])
    for (const move of await movesOf(nats, count)) {
      const refusedMs = await movePartitions(nats, move)
      t.comment(`${move.partitions.length} partitions of ${move.from}: ${Math.round(refusedMs ?? 0)} ms`)
      await sleep(500)
    }
  isEnding = true
  await Promise.all(writers)

  const upTo = (seq: number): number[] => Array.from({ length: seq }, (_, i) => i + 1)
  const expected = ids.map(id => upTo(acked.get(id) ?? 0))
  t.ok(expected.flat().length > 500, `${expected.flat().length} events`)
  while (otherLayout.streams.length < 5) await sleep(10)
  t.equal(otherLayout.streams.length, 5)
  const isComplete = () => ids.every(id => delivered.get(id)?.at(-1) === acked.get(id))
  for (let polls = 1_000; polls > 0 && !isComplete(); polls--) await sleep(10)
  t.same(
    ids.map(id => delivered.get(id)),
    expected,
    'the live feed of another node',
  )
  const read = new Map<string, number[]>()
  for (const { stream, last } of await source.streams())
    for await (const events of source.range(stream, 0, last))
      for (const { aggregate, envelope } of events)
        if (envelope.seq > 0) read.set(aggregate.id, [...(read.get(aggregate.id) ?? []), envelope.seq])
  t.same(
    ids.map(id => read.get(id)),
    expected,
    'readers of whole streams',
  )
})
