import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Family, partitionOf } from '../../../src/events/index.ts'
import {
  applyStreams,
  discoverLog,
  JetStreamEventLog,
  LiveLayout,
  loadStreams,
  NatsEventSource,
  NatsLiveFeed,
  streamsStatus,
} from '../../../src/infra/nats/index.ts'
import { openManager } from '../../../src/infra/nats/log/streams.ts'
import { moveSteps } from '../../../src/infra/nats/reshard/move-steps.ts'
import { partitionsIn, planMoves } from '../../../src/infra/nats/reshard/plan-moves.ts'
import { newEvent } from '../../contracts/new-events.ts'
import { movePartitions, movesOf } from '../../harness/move-partitions.ts'
import { startNats } from '../../harness/nats.ts'

const all = [...Array(256).keys()]
const ids = Array.from({ length: 24 }, (_, i) => `c-${i}`)

t.test('a plan gives each added stream partitions of one stream', async t => {
  const streams = new Map<string, readonly number[]>([['CONV_0', all]])
  for (const count of [1, 2, 3, 4, 7]) {
    const moves = planMoves(Family.conversation, streams, count)
    t.equal(moves.length, Math.max(0, count - streams.size))
    for (const { from, to, partitions } of moves) {
      t.notOk(streams.has(to), `${to} is new`)
      streams.set(
        from,
        streams.get(from)!.filter(partition => !partitions.includes(partition)),
      )
      streams.set(to, partitions)
    }
    t.same(
      [...streams.values()].flat().sort((a, b) => a - b),
      all,
      `${count} streams have each partition once`,
    )
    t.ok([...streams.values()].every(({ length }) => length > 256 / (2 * count)))
  }
  t.same(partitionsIn(Family.user, ['user.3.*', 'conv.7.*', 'user.12.*']), [3, 12])
})

const endings = ['is interrupted', 'is killed'] as const
for (const [step, ending] of moveSteps.flatMap(step => endings.map(ending => [step, ending] as const)))
  t.test(`a move that ${ending} before the step ${step} continues`, async t => {
    const nats = await startNats(t)
    const connection = await nats.connect()
    const layout = await LiveLayout.open(connection)
    const log = new JetStreamEventLog(connection, layout)
    const source = new NatsEventSource(connection, layout)
    const feed = new NatsLiveFeed(connection, layout)
    t.teardown(async () => {
      await feed.stop()
      source.close()
      log.close()
      layout.close()
    })
    const delivered = new Map<string, number[]>()
    feed.listen(({ aggregate: { id }, envelope }) => {
      delivered.set(id, [...(delivered.get(id) ?? []), envelope.seq])
    })
    await feed.start()
    const appendAll = async (seq: number): Promise<void> => {
      for (const id of ids) {
        const aggregate = { family: Family.conversation, id }
        const last = await log.last(aggregate)
        if (last?.envelope.seq === seq) continue
        await log.append(aggregate, last?.streamSeq ?? 0, [newEvent(seq)])
      }
    }
    await appendAll(1)
    await appendAll(2)
    const [move] = await movesOf(connection, 2)
    const reached = Promise.withResolvers<void>()
    const first = movePartitions(connection, move!, now => {
      if (now !== step) return undefined
      reached.resolve()
      if (ending === 'is interrupted') throw new Error('stopped here')
      return new Promise(() => {})
    })
    await Promise.all([reached.promise, ending === 'is killed' || t.rejects(first, /stopped here/)])
    const isCutOff = ending === 'is killed' && ['marker', 'wait', 'promote'].includes(step)
    const appended = appendAll(3)
    if (isCutOff) await t.rejects(appended, { code: 'UNAVAILABLE' }, 'nothing takes the partitions')
    else await appended
    t.same(
      (await applyStreams(connection.connection, loadStreams())).filter(
        ({ outcome }) => outcome !== 'unchanged',
      ),
      [],
      'a process that starts meanwhile changes no stream',
    )
    await movePartitions(connection, move!)
    await movePartitions(connection, move!)
    while (layout.streams.length < 3) await sleep(5)
    t.same(layout.streams, ['CONV_0', 'CONV_1', 'USER_0'])
    t.ok(ids.some(id => move!.partitions.includes(partitionOf(id))))
    for (const id of ids)
      t.equal(
        layout.streamOf({ family: Family.conversation, id }),
        move!.partitions.includes(partitionOf(id)) ? 'CONV_1' : 'CONV_0',
      )
    await appendAll(3)
    const complete = () => [...delivered.values()].every(seqs => seqs.length === 3)
    for (let polls = 500; polls > 0 && !complete(); polls--) await sleep(10)
    t.same(
      [...delivered.values()],
      ids.map(() => [1, 2, 3]),
      'the live feed has each event once, in order',
    )
    const read = new Map<string, number[]>()
    for (const { stream, last } of await source.streams())
      for await (const events of source.range(stream, 0, last))
        for (const {
          aggregate: { id },
          envelope,
        } of events)
          if (envelope.seq > 0) read.set(id, [...(read.get(id) ?? []), envelope.seq])
    t.same(
      ids.map(id => read.get(id)),
      ids.map(() => [1, 2, 3]),
      'so have readers of whole streams',
    )
    t.same(
      (await streamsStatus(connection, loadStreams())).flatMap(({ drift }) => drift),
      [],
    )
    t.equal((await discoverLog(connection.connection)).originOf('CONV_1')?.stream, 'CONV_0')
  })

t.test('a stream of another purpose is not replaced', async t => {
  const nats = await startNats(t)
  const connection = await nats.connect()
  const manager = await openManager(connection.connection)
  await manager.streams.add({ name: 'CONV_1', subjects: ['elsewhere'] })
  const [move] = await movesOf(connection, 2)
  await t.rejects(movePartitions(connection, move!), {
    code: 'NATS_STREAMS',
    message: /a stream CONV_1 exists/,
  })
  t.same((await discoverLog(connection.connection)).streams, ['CONV_0', 'USER_0'])
})
