import fc from 'fast-check'
import t from 'tap'
import { openCassandra } from '../../../src/infra/cassandra/index.ts'
import {
  compareGenerations,
  openFeeds,
  type ProjectedEvent,
  ProjectionRunner,
  type ViewStores,
  type Views,
} from '../../../src/projections/index.ts'
import { historyOf, stepsOf } from '../../projections/history.ts'
import { MemorySource } from '../../projections/memory-source.ts'
import { modelOf } from '../../projections/model-views.ts'
import { readAll } from '../../projections/read-views.ts'
import { quiet, runToEnd } from '../../projections/run-to-end.ts'
import { freshKeyspace } from './keyspace.ts'

type Streams = ReturnType<typeof historyOf>

const histories = fc.sample(stepsOf(300, 400), { numRuns: 3, seed: 18 }).map(steps => historyOf(steps)) as [
  Streams,
  Streams,
  Streams,
]

const decoded = (streams: Streams): ProjectedEvent[] =>
  Object.values(streams)
    .flat()
    .map(stored => ({ stored, event: JSON.parse(Buffer.from(stored.data).toString()) }))

/**
 * Completes deletions as this version writes them. Deletions of older versions need the message, so they are projected
 * in order only.
 */
const withMessageSeqs = (events: readonly ProjectedEvent[]): ProjectedEvent[] => {
  const seqs = new Map<string, number>()
  for (const { event } of events)
    if (event.type === 'message.posted') seqs.set(`${event.c} ${event.m}`, event.seq)
  return events.map(one =>
    one.event.type === 'message.deleted'
      ? { ...one, event: { ...one.event, messageSeq: seqs.get(`${one.event.c} ${one.event.m}`) ?? 0 } }
      : one,
  )
}

const options = await freshKeyspace(t)
if (options !== undefined) {
  const { stores, viewsAt, close } = await openCassandra(options)
  t.teardown(close)
  let generation = 0
  const next = () => {
    generation++
    return { timeline: generation, inbox: generation, 'read-state': generation, roster: generation }
  }
  const all = (generations: ReturnType<typeof next>) => readAll(viewsAt(generations) as Views)
  const project = async (
    streams: Streams,
    generations: ReturnType<typeof next>,
    sizes: readonly number[],
    through: ViewStores = stores,
  ) => {
    const source = new MemorySource(streams, sizes)
    const feeds = await openFeeds(stores, generations)
    await runToEnd(new ProjectionRunner({ source, stores: through, log: quiet, feeds, retryMs: 1 }), source)
  }

  t.test('at once and in small batches: both equal the model, with the same rows', async t => {
    const [streams] = histories
    const [one, other] = [next(), next()]
    await project(streams, one, [])
    t.strictSame(await all(one), modelOf(streams).all)
    // Stopped and restarted in between.
    for (const part of [0.3, 1]) {
      const grown = Object.entries(streams).map(([name, events]) => [
        name,
        events.slice(0, events.length * part),
      ])
      await project(Object.fromEntries(grown), other, [7, 1, 30, 90])
    }
    t.strictSame(await all(other), modelOf(streams).all)
    for (const projection of stores.projections) {
      const [a, b] = [
        await stores.open(projection, one[projection as 'inbox']),
        await stores.open(projection, other[projection as 'inbox']),
      ]
      const { rows, different } = await compareGenerations(
        () => a.rows(),
        () => b.rows(),
      )
      t.ok(rows.a > 0, `${rows.a} rows of ${projection}`)
      t.same([rows.a - rows.b, different], [0, []])
    }
    await (await stores.open('roster', one.roster)).apply([{ c: 'c-0', user: 'x', seq: 9, role: 'member' }])
    const [a, b] = [await stores.open('roster', one.roster), await stores.open('roster', other.roster)]
    t.same(
      (
        await compareGenerations(
          () => a.rows(),
          () => b.rows(),
        )
      ).different,
      ['c-0'],
      'a difference is found',
    )
  })

  t.test('in any order, any number of times: an older event never overwrites a newer one', async t => {
    const [, streams] = histories
    const generations = next()
    const events = withMessageSeqs(decoded(streams))
    const [shuffled = []] = fc.sample(fc.shuffledSubarray(events, { minLength: events.length }), {
      numRuns: 1,
      seed: 4,
    })
    for (const order of [shuffled, events.toReversed().slice(0, 200)])
      for (const feed of await openFeeds(stores, generations))
        for (let from = 0; from < order.length; from += 11) {
          const changes = feed.begin()
          for (const event of order.slice(from, from + 11)) changes.add(event)
          await changes.write()
        }
    t.strictSame(await all(generations), modelOf(streams).all)
  })

  t.test('with a store that fails before, between and after rows and checkpoints', async t => {
    const [, , streams] = histories
    // The generations of the previous test, emptied.
    const generations = { timeline: 3, inbox: 3, 'read-state': 3, roster: 3 }
    for (const feed of await openFeeds(stores, generations)) await feed.clear()
    let turn = 0
    const failing: ViewStores = {
      ...stores,
      async atomically(work) {
        const fate = turn++ % 4
        if (turn > 24) return stores.atomically(work)
        if (fate === 1) throw new Error('before')
        await stores.atomically(async () => {
          await work()
          if (fate === 2) throw new Error('within')
        })
        if (fate === 3) throw new Error('after')
      },
      checkpoints: {
        ...stores.checkpoints,
        async save(checkpoints, epoch) {
          if (turn % 5 === 0 && turn < 24) throw new Error('between')
          return stores.checkpoints.save(checkpoints, epoch)
        },
      },
    }
    await project(streams, generations, [5, 17, 40], failing)
    t.strictSame(await all(generations), modelOf(streams).all)
  })
}
