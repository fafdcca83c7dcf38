import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { LiveFeed } from '../../src/commands/index.ts'
import { Memberships } from '../../src/edge/access/memberships.ts'
import { ViewPositions } from '../../src/edge/access/view-freshness.ts'
import type { ViewChanges } from '../../src/edge/ports/view-changes.ts'
import type { Position } from '../../src/events/index.ts'
import type { Views } from '../../src/projections/index.ts'

const at = (streamSeq: number): Position[] => [{ stream: 'A', streamSeq }]

/** A view that is behind a feed, until it is set level, and counts what it is asked. */
const lagging = (changes?: ViewChanges) => {
  let position = 1
  const asked = { positions: 0, users: 0 }
  const views = {
    positions: async () => {
      asked.positions++
      return at(position)
    },
    roster: {
      conversationsOf: async () => {
        asked.users++
        return { conversations: ['tea'], positions: at(position) }
      },
    },
  } as unknown as Views
  const feed = {
    positions: () => [{ family: 'conv', stream: 'A', streamSeq: 100 }],
  } as unknown as LiveFeed
  const positions = new ViewPositions(views, changes)
  return {
    asked,
    views,
    feed,
    positions,
    set: (to: number) => {
      position = to
    },
  }
}

/** Has so many hellos wait while the roster is behind for 400 ms. Resolves with the number of queries. */
const hellos = async (count: number) => {
  const { asked, views, feed, positions, set } = lagging()
  const memberships = new Memberships({ views, positions, feed }, { bound: 100, waitMs: 5_000 })
  const all = Promise.all(
    Array.from({ length: count }, (_, n) => memberships.of(`u${n}`, conversations => [...conversations])),
  )
  await sleep(200)
  const late = memberships.of('late', conversations => [...conversations])
  await sleep(200)
  set(100)
  const answers = [...(await all), await late]
  memberships.close()
  return { ...asked, answers }
}

t.test('a thousand waiting hellos query positions as often as one', async t => {
  const one = await hellos(1)
  const many = await hellos(1_000)
  t.equal(many.answers.length, 1_001)
  t.ok(many.answers.every(([c]) => c === 'tea'))
  t.ok(one.positions < 20, `${one.positions} of one: pauses grow`)
  t.ok(many.positions <= 2 * one.positions, `${many.positions} of a thousand, ${one.positions} of one`)
  t.ok(many.users <= 2 * 1_000 + 1, `${many.users} look-ups: at the arrival and at the end`)
})

t.test('a hello that waits too long is refused, and waits no longer than that', async t => {
  const { views, feed, positions } = lagging()
  const memberships = new Memberships({ views, positions, feed }, { bound: 100, waitMs: 100 })
  t.teardown(() => memberships.close())
  const started = performance.now()
  await t.rejects(
    memberships.of('u', () => {}),
    { code: 'UNAVAILABLE' },
  )
  const ms = performance.now() - started
  t.ok(ms >= 95 && ms < 3_000, `${ms} ms`)
  t.notOk(positions.isAwaited('roster'), 'nothing is queried any more')
})

t.test('a request that joins others waits no longer for them', async t => {
  const { positions, set } = lagging()
  const stuck = positions.reached('inbox', () => false, 1_500)
  let quickest = Number.POSITIVE_INFINITY
  for (let seq = 7; seq < 11; seq++) {
    // By now the pauses of the view that does not advance are the longest.
    await sleep(250)
    set(seq)
    const started = performance.now()
    t.equal(await positions.reached('inbox', ([one]) => one!.streamSeq >= seq, 5_000), true)
    quickest = Math.min(quickest, performance.now() - started)
  }
  t.ok(quickest < 20, `${quickest} ms: a new request cuts the pause short`)
  t.equal(await stuck, false)
})

t.test('a failed first query rejects; later ones are tried again', async t => {
  let fails = true
  let position = 1
  const positions = new ViewPositions({
    positions: async () => {
      if (fails) throw new Error('the database is away')
      return at(position)
    },
  })
  const isLevel = ([one]: readonly Position[]): boolean => one?.streamSeq === 2
  await t.rejects(positions.reached('inbox', isLevel, 1_000), { message: 'the database is away' })
  fails = false
  const waiting = positions.reached('inbox', isLevel, 5_000)
  await sleep(20)
  fails = true
  await sleep(100)
  fails = false
  position = 2
  t.equal(await waiting, true)
})

t.test('where changes are reported, a view is queried when it changes', async t => {
  let version = 0
  let notify = (): void => {}
  const changes: ViewChanges = {
    covers: projection => projection === 'inbox',
    version: () => version,
    after: async seen => {
      if (seen === version) await new Promise<void>(resolve => (notify = resolve))
    },
  }
  const { asked, positions, set } = lagging(changes)
  const started = performance.now()
  const waiting = positions.reached('inbox', ([one]) => one!.streamSeq >= 3, 5_000)
  await sleep(50)
  const elapsed = performance.now() - started
  t.ok(asked.positions <= 1 + elapsed / 60, `${asked.positions} queries in ${elapsed} ms: the longest pauses`)
  set(3)
  version++
  notify()
  const turn = new Promise(resolve => setImmediate(() => setImmediate(resolve, 'waits')))
  t.equal(await Promise.race([waiting, turn]), true, 'at once, not by a timer')
  t.equal(await positions.reached('search', () => false, 30), false)
  t.ok(asked.positions > 4, 'other views are polled')
})
