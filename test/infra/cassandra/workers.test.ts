import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { openCassandra } from '../../../src/infra/cassandra/index.ts'
import {
  ChangeRejectedError,
  openFeeds,
  ProjectionRunner,
  type TimelineChange,
  type Views,
} from '../../../src/projections/index.ts'
import { historyOf, stepsOf } from '../../projections/history.ts'
import { MemorySource } from '../../projections/memory-source.ts'
import { modelOf } from '../../projections/model-views.ts'
import { readAll } from '../../projections/read-views.ts'
import { quiet, untilLevel } from '../../projections/run-to-end.ts'
import { freshKeyspace } from './keyspace.ts'

const [steps = []] = fc.sample(stepsOf(1_200, 1_200), { numRuns: 1, seed: 12 })
const streams = historyOf(steps)

const options = await freshKeyspace(t)
if (options !== undefined) {
  t.test('of two workers, the earlier one gets no further', async t => {
    const [first, second] = await Promise.all([openCassandra(options), openCassandra(options)])
    t.teardown(() => Promise.all([first.close(), second.close()]))
    const start = async (stores: typeof first.stores) => {
      const source = new MemorySource(streams)
      const runner = new ProjectionRunner({ source, stores, log: quiet, batch: 6 })
      await runner.start()
      return { source, runner }
    }
    const before = await start(first.stores)
    const reached = () => before.runner.status().flatMap(one => one.streams.map(({ position }) => position))
    while (reached().every(position => position < 30)) await sleep(2)
    const after = await start(second.stores)
    while (before.runner.streams().length > 0) await sleep(2)
    t.same(
      before.runner.status().map(({ state }) => state),
      before.runner.status().map(() => 'stopped'),
    )
    await untilLevel(after.runner, after.source)
    await Promise.all([before.runner.stop(), after.runner.stop()])
    t.strictSame(await readAll(second.viewsAt() as Views), modelOf(streams).all)
    const feeds = await openFeeds(second.stores)
    t.equal(
      (await second.stores.checkpoints.load()).filter(({ stream }) => stream === 'CONV_0').length,
      feeds.length,
    )
  })

  t.test('a change that can never be stored is refused, not retried for ever', async t => {
    const { stores, viewsAt, close } = await openCassandra(options)
    t.teardown(close)
    const timeline = await stores.open('timeline', 1)
    const row = (c: string, bytes: number): TimelineChange => ({
      c,
      seq: 1,
      streamSeq: 1,
      data: new Uint8Array(bytes).fill(120),
    })
    const refused = async (change: TimelineChange) => {
      const error = await timeline.apply([row('small', 10), change]).catch(error => error)
      t.ok(ChangeRejectedError.is(error), error?.message)
    }
    await refused(row('huge', 20 * 1024 ** 2))
    await refused(row('x'.repeat(70_000), 10))
    await refused(row('', 10))
    await refused({ ...row('c', 10), m: 7 as unknown as string })
    await timeline.apply([row('large', 1024 ** 2)])
    t.equal((await viewsAt().timeline.page('large', { limit: 1 }))[0]?.data.length, 1024 ** 2)
  })

  t.test('pages cross bucket boundaries, in both directions, over gaps', async t => {
    const { stores, viewsAt, close } = await openCassandra(options)
    t.teardown(close)
    const timeline = await stores.open('timeline', 1)
    const data = new Uint8Array([1])
    const all = Array.from({ length: 4_100 }, (_, i) => i + 1).filter(
      // Two buckets are empty, as if all their events had become dead letters.
      seq => seq < 1_000 || (seq >= 3_000 && seq % 3 !== 0),
    )
    await timeline.apply(all.map(seq => ({ c: 'long', seq, streamSeq: seq, data })))
    const seqs = async (range: { after?: number; before?: number; limit: number }) =>
      (await viewsAt().timeline.page('long', range)).map(({ seq }) => seq)
    for (const limit of [1, 7, 200]) {
      for (const at of [
        0, 1, 998, 999, 1_000, 2_500, 2_999, 3_000, 3_001, 3_999, 4_000, 4_099, 4_100, 1e12,
      ]) {
        t.same(await seqs({ after: at, limit }), all.filter(seq => seq > at).slice(0, limit))
        t.same(await seqs({ before: at, limit }), all.filter(seq => seq < at).slice(-limit))
      }
      t.same(await seqs({ limit }), all.slice(-limit))
      t.same(
        await seqs({ after: 990, before: 3_010, limit }),
        all.filter(seq => seq > 990 && seq < 3_010).slice(0, limit),
      )
    }
  })
}
