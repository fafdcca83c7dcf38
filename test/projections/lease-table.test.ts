import fc from 'fast-check'
import t from 'tap'
import {
  BeatWatch,
  type LeaseTable,
  nextStep,
  noLeases,
  sharesOf,
  withoutWorker,
} from '../../src/projections/leases/lease-table.ts'

const streams = ['CONV_0', 'CONV_1', 'CONV_2', 'CONV_3', 'USER_0', 'USER_1', 'USER_2']

/** Workers that step on one table in any order, like startStreamLeases without failures. */
const world = () => {
  let table: LeaseTable = noLeases
  let revision = 0
  const working = new Map<string, readonly string[]>()
  const moved: string[] = []
  return {
    working,
    moved,
    step(worker: string, lapsed: readonly string[] = []) {
      const current = working.get(worker) ?? []
      const step = nextStep(table, revision++, {
        worker,
        streams,
        lapsed: new Set(lapsed),
        current,
        touched: new Set(current),
        mayTake: true,
      })
      table = step.table
      for (const stream of step.streams) if (!current.includes(stream)) moved.push(stream)
      working.set(worker, step.streams)
    },
    leave(worker: string) {
      table = withoutWorker(table, worker)
      revision++
      working.delete(worker)
    },
    owners: () => table.owners,
    beats: () => table.beats,
  }
}

t.test('shares are as equal as possible; a remainder stays with the largest owners', async t => {
  t.same(
    [
      ...sharesOf(
        7,
        new Map([
          ['a', 0],
          ['b', 3],
          ['c', 0],
        ]),
      ),
    ],
    [
      ['b', 3],
      ['a', 2],
      ['c', 2],
    ],
  )
  t.same(
    [
      ...sharesOf(
        2,
        new Map([
          ['a', 0],
          ['b', 1],
          ['c', 1],
        ]),
      ),
    ],
    [
      ['b', 1],
      ['c', 1],
      ['a', 0],
    ],
  )
})

t.test('after any joins and leaves, every stream has one worker and the shares are equal', async () => {
  const act = fc.record({
    worker: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
    what: fc.constantFrom('step', 'step', 'step', 'leave', 'die'),
  })
  fc.assert(
    fc.property(fc.array(act, { maxLength: 60 }), acts => {
      const { step, leave, working, owners } = world()
      const dead: string[] = []
      for (const { worker, what } of acts) {
        if (what === 'step') {
          if (!dead.includes(worker)) step(worker)
        } else if (working.has(worker)) {
          if (what === 'leave') leave(worker)
          else dead.push(worker)
        }
        const all = [...working].filter(([name]) => !dead.includes(name)).flatMap(([, held]) => held)
        // No worker is assigned a stream that another one has not released.
        if (new Set(all).size !== all.length) return false
      }
      const alive = [...working.keys()].filter(worker => !dead.includes(worker))
      if (alive.length === 0) return true
      // A stream is released in one round and taken in the next, which may make room for another.
      for (let round = 0; round < 2 * streams.length; round++) for (const worker of alive) step(worker, dead)
      const counts = alive.map(worker => working.get(worker)?.length ?? 0)
      return (
        Math.max(...counts) - Math.min(...counts) <= 1 &&
        streams.every(stream => alive.includes(owners()[stream] ?? '')) &&
        alive.every(worker => (working.get(worker) ?? []).every(stream => owners()[stream] === worker))
      )
    }),
  )
})

t.test('no more streams move than necessary', async t => {
  const { step, moved, working } = world()
  for (let round = 0; round < 3; round++) for (const worker of ['a', 'b', 'c']) step(worker)
  moved.length = 0
  for (let round = 0; round < 3; round++) for (const worker of ['a', 'b', 'c', 'd']) step(worker)
  t.equal(moved.length, 1, 'one moves to the fourth')
  t.same([...working.values()].map(held => held.length).sort(), [1, 2, 2, 2])
  moved.length = 0
  for (let round = 0; round < 3; round++) for (const worker of ['b', 'c', 'd']) step(worker, ['a'])
  t.equal(moved.length, 2, 'the streams of the dead worker')
})

t.test('a stream being released stays with its worker until it is', async t => {
  const table = { beats: { a: 1, b: 1 }, owners: Object.fromEntries(streams.map(stream => [stream, 'a'])) }
  const view = { worker: 'a', streams, lapsed: new Set<string>(), current: streams, mayTake: true }
  const held = nextStep(table, 1, { ...view, touched: new Set(streams) })
  t.equal(held.streams.length, 4)
  t.same(held.table.owners, table.owners)
  const { streams: current } = held
  const freed = nextStep(held.table, 2, { ...view, current, touched: new Set(current) })
  t.same(freed.streams, current)
  t.same(Object.keys(freed.table.owners).sort(), [...current].sort())
})

t.test('a lost table is restored by its workers', async t => {
  const step = nextStep(noLeases, 0, {
    worker: 'a',
    streams,
    lapsed: new Set(),
    current: ['CONV_1', 'USER_0'],
    touched: new Set(['CONV_1', 'USER_0']),
    mayTake: false,
  })
  t.same(step.streams, ['CONV_1', 'USER_0'])
  t.same(step.table.owners, { CONV_1: 'a', USER_0: 'a' })
})

t.test('a worker is dead after enough observation, not after enough time', async t => {
  const watch = new BeatWatch(3_000, 500)
  t.same([...watch.look({ a: 1, b: 1 }, 0)], [])
  for (let now = 500; now < 3_000; now += 500) t.same([...watch.look({ a: now, b: 1 }, now)], [], `${now}`)
  t.same([...watch.look({ a: 2, b: 1 }, 3_000)], ['b'])
  t.same([...watch.look({ a: 2, b: 2 }, 3_500)], [], 'it returned')
  t.same([...watch.look({ a: 2, b: 2 }, 60_000)], [], 'this process was suspended for a minute')
  t.same([...watch.look({ a: 2, b: 3 }, 61_000)], [])
  t.same([...watch.look({ a: 2, b: 4 }, 62_000)], ['a'])
})
