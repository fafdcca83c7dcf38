import fc from 'fast-check'
import t from 'tap'
import { v7 } from 'uuid'
import {
  addToFilter,
  deserialiseFilter,
  emptyFilter,
  filterBytes,
  forkFilter,
  mayHaveSeen,
  serialiseFilter,
  timeOfId,
} from '../../src/commands/domain/message-id-filter.ts'

const idAt = (time: number, i: number): string =>
  v7({ msecs: time, random: Uint8Array.from({ length: 16 }, (_, j) => (i >>> ((j % 4) * 8)) & 255) })

const anyId = fc.oneof(
  fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/),
  fc.tuple(fc.nat({ max: 2 ** 40 }), fc.nat()).map(([time, i]) => idAt(time, i)),
)

t.test('an added id is never denied, also through forks and serialisation', async () => {
  fc.assert(
    fc.property(fc.array(anyId), fc.nat(), fc.nat({ max: 2 ** 40 }), (ids, at, clock) => {
      let filter = emptyFilter()
      ids.forEach((id, i) => {
        addToFilter(filter, id, clock + i * 1e9)
        if (i === at % ids.length)
          filter = deserialiseFilter(JSON.parse(JSON.stringify(serialiseFilter(filter))))
        else if (i % 7 === 0) filter = forkFilter(filter)
      })
      return ids.every(id => mayHaveSeen(filter, id))
    }),
  )
})

t.test('it is bounded, and denies only ids younger than the dropped ones', async t => {
  const filter = emptyFilter()
  const start = Date.UTC(2026, 0, 1)
  const count = 40_000
  for (let i = 0; i < count; i++) addToFilter(filter, idAt(start + i, i), start + i)
  t.ok(filterBytes(filter) < 36_000, `${filterBytes(filter)} bytes`)
  let denied = 0
  for (let i = 0; i < count; i++) if (!mayHaveSeen(filter, idAt(start + i, i))) denied++
  t.equal(denied, 0)
  let perhaps = 0
  for (let i = 0; i < 10_000; i++) if (mayHaveSeen(filter, idAt(start + count + i, i))) perhaps++
  t.equal(perhaps, 0, 'new ones need no lookup')
  t.ok(mayHaveSeen(filter, 'without-a-time'), 'an id without a time may have been dropped')
  t.ok(mayHaveSeen(filter, idAt(start, 77)), 'and so may one as old as what was dropped')
})

t.test('ids from the future need a look-up themselves, and cause none for other ids', async t => {
  const start = Date.UTC(2026, 0, 1)
  const year2100 = Date.UTC(2100, 0, 1)
  const hour = 3_600_000
  let filter = emptyFilter()
  const postdated: string[] = []
  let clock = start
  const add = (m: string): void => addToFilter(filter, m, clock)
  for (let i = 0; i < 40_000; i++) {
    clock = start + i * 100
    if (i % 40 === 0) {
      // One sender's clock is an hour ahead. Another sender makes ids of the year 2100.
      postdated.push(idAt(clock + hour, i), idAt(year2100 + i, i))
      for (const m of postdated.slice(-2)) add(m)
    }
    add(idAt(clock, i))
    if (i === 20_000) filter = deserialiseFilter(JSON.parse(JSON.stringify(serialiseFilter(filter))))
    if (i === 30_000) filter = forkFilter(filter)
  }
  t.ok(filterBytes(filter) < 48_000, `${filterBytes(filter)} bytes`)
  t.ok(
    postdated.every(m => mayHaveSeen(filter, m)),
    'an id from the future is never denied',
  )
  let perhaps = 0
  for (let i = 0; i < 10_000; i++) if (mayHaveSeen(filter, idAt(clock + i, i + 50_000))) perhaps++
  t.ok(perhaps < 200, `${perhaps} of 10,000 new ids need a look-up`)
})

t.test('small conversations cost little, and need no look-up for ids of any form', async t => {
  const filter = emptyFilter()
  for (let i = 0; i < 200; i++) addToFilter(filter, `m${i}`, 0)
  t.ok(filterBytes(filter) < 1000)
  let perhaps = 0
  for (let i = 0; i < 10_000; i++) if (mayHaveSeen(filter, `n${i}`)) perhaps++
  t.ok(perhaps < 50, `${perhaps} of 10,000`)
})

t.test('a fork and its original are independent', async t => {
  const filter = emptyFilter()
  for (let i = 0; i < 300; i++) addToFilter(filter, `m${i}`, 0)
  const before = JSON.stringify(serialiseFilter(filter))
  const fork = forkFilter(filter)
  for (let i = 300; i < 900; i++) addToFilter(fork, `m${i}`, 0)
  t.equal(JSON.stringify(serialiseFilter(filter)), before)
})

t.test('the time of an id is its creation time', async t => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 48 - 1 }), time => timeOfId(v7({ msecs: time })) === time),
  )
  t.equal(timeOfId('01ARZ3NDEKTSV4RRFFQ69G5FAV'), 1469922850259, 'a ULID')
  for (const id of [
    'm1',
    'x'.repeat(36),
    '0'.repeat(26),
    '9b2d8a52-1f3c-4c4b-9d0a-1b2c3d4e5f60',
    'zzzzzzzz-zzzz-7zzz-8zzz-zzzzzzzzzzzz',
  ])
    t.ok(timeOfId(id) <= 0, id)
})
