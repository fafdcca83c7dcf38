import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { Registry } from 'prom-client'
import t from 'tap'
import { defaultEdgeLimits } from '../../src/edge/ports/edge-limits.ts'
import {
  listUsers,
  noUsers,
  type PresenceListener,
  type PresenceRecord,
  shardOf,
  stateIn,
} from '../../src/edge/ports/presence-store.ts'
import { PresenceBoard } from '../../src/edge/presence/index.ts'
import { type Device, LocalPresence } from '../../src/edge/presence/local-presence.ts'
import { RemotePresence } from '../../src/edge/presence/remote-presence.ts'
import { WatchList } from '../../src/edge/presence/watch-list.ts'
import { SessionRegistry } from '../../src/edge/sessions/session-registry.ts'
import type { Presence } from '../../src/events/index.ts'
import { createEdgeMetrics } from '../../src/infra/telemetry/index.ts'
import { openSession } from '../harness/open-session.ts'

const awayMs = 1_000
const graceMs = 500

const local = () => {
  const devices: Device[] = []
  const changes: string[] = []
  const presence: LocalPresence = new LocalPresence(
    { awayMs, graceMs },
    () => devices,
    user => changes.push(`${user} ${presence.stateOf(user)}`),
  )
  const device = (activeAt: number): Device => {
    const made = { activeAt, saysAway: false, isIdle: false }
    devices.push(made)
    presence.connected('alice')
    return made
  }
  /** Runs the periodic step, like the board. */
  const pass = (from: number, until: number) => {
    for (let now = from; now <= until; now += 50) presence.check(now)
  }
  return { devices, changes, presence, device, pass }
}

t.test('the most active device decides', async t => {
  const { presence, changes, device, pass } = local()
  const phone = device(0)
  const laptop = device(0)
  pass(0, 900)
  phone.activeAt = 900
  pass(900, 1_800)
  t.same(changes, ['alice online'])
  pass(1_800, 2_100)
  t.same(changes, ['alice online', 'alice away'])
  t.ok(phone.isIdle && laptop.isIdle, 'the next thing that is done anywhere is to be noticed')
  laptop.activeAt = 2_200
  presence.refresh('alice', 2_200)
  t.equal(presence.stateOf('alice'), 'online')
})

t.test('a client that says away is away, whatever it does; other devices are independent', async t => {
  const { presence, device } = local()
  const phone = device(0)
  phone.saysAway = true
  presence.refresh('alice', 10)
  t.equal(presence.stateOf('alice'), 'away')
  const laptop = device(20)
  presence.refresh('alice', 20)
  t.equal(presence.stateOf('alice'), 'online')
  laptop.saysAway = true
  phone.activeAt = 30
  presence.refresh('alice', 30)
  t.equal(presence.stateOf('alice'), 'away')
})

t.test('a user who returns within the grace period was not offline', async t => {
  const { presence, devices, changes, device, pass } = local()
  device(0)
  devices.length = 0
  presence.disconnected('alice', 100)
  pass(100, 550)
  device(560)
  pass(560, 1_500)
  t.same(changes, ['alice online'])
  devices.length = 0
  presence.disconnected('alice', 1_500)
  pass(1_500, 1_990)
  t.equal(presence.stateOf('alice'), 'online')
  pass(1_990, 2_040)
  t.same(changes, ['alice online', 'alice offline'])
  t.equal(presence.size, 0)
})

t.test('away and disconnected: offline, and online at once on return', async t => {
  const { presence, devices, device, pass } = local()
  device(0)
  pass(0, 1_200)
  t.equal(presence.stateOf('alice'), 'away')
  devices.length = 0
  presence.disconnected('alice', 1_200)
  pass(1_200, 1_600)
  t.equal(presence.stateOf('alice'), 'away', 'still')
  device(1_600)
  t.equal(presence.stateOf('alice'), 'online')
})

t.test('without an away time no user is away, unless a client says so', async t => {
  const devices: Device[] = [{ activeAt: 0, saysAway: false, isIdle: false }]
  const presence = new LocalPresence(
    { awayMs: 0, graceMs },
    () => devices,
    () => {},
  )
  presence.connected('alice')
  presence.check(0)
  presence.check(1e9)
  t.equal(presence.stateOf('alice'), 'online')
  devices[0]!.saysAway = true
  presence.refresh('alice', 1e9)
  t.equal(presence.stateOf('alice'), 'away')
})

t.test('lists contain exactly the users put into them', async t => {
  const id = fc.stringMatching(/^[A-Za-z0-9_-]{1,8}$/)
  fc.assert(
    fc.property(
      fc.dictionary(id, fc.constantFrom('online', 'away'), { noNullPrototype: true }),
      id,
      (states, other) => {
        const list = listUsers(new Map(Object.entries(states)))
        for (const [user, state] of Object.entries(states)) t.equal(stateIn(list, user), state)
        if (!(other in states)) t.equal(stateIn(list, other), 'offline')
      },
    ),
    { numRuns: 200 },
  )
  t.equal(listUsers(new Map()), noUsers)
})

t.test(
  'changes of widely watched users are pushed in parts, completely, with the state of that moment',
  async t => {
    const users = Array.from({ length: 50 }, (_, n) => `user-${n}`)
    const states = new Map<string, Presence>()
    const list = new WatchList(
      { total: 1_000, share: 1_000 },
      user => states.get(user) ?? 'offline',
      () => {},
    )
    for (let n = 0; n < 10; n++) {
      const session = openSession()
      list.watch(session, users)
      for (const user of users) list.answered(session, user, 'offline')
    }
    list.watch(openSession(), users)
    for (const user of users) {
      states.set(user, 'online')
      list.changed(user)
    }
    t.notOk(list.flush(105))
    t.equal(list.takePushes(), 110, 'a user’s change in progress reaches all its watchers')
    states.set('user-49', 'offline')
    let turns = 1
    for (; !list.flush(100); turns++) t.equal(list.takePushes(), 100)
    t.equal(turns, 4)
    t.equal(list.takePushes(), 80, 'user-49 has no change')
  },
)

t.test('a refused watch changes nothing, and an ended watch is forgotten', async t => {
  let refusals = 0
  const list = new WatchList(
    { total: 3, share: 10 },
    () => 'offline',
    () => refusals++,
  )
  const [one, other] = [openSession(), openSession()]
  list.watch(one, ['a', 'b'])
  t.throws(() => list.watch(other, ['b', 'c', 'd']), { code: 'OVERLOADED' })
  t.equal(refusals, 1)
  t.equal(list.size, 2)
  t.equal(other.watching, undefined)
  list.watch(other, ['b', 'c'])
  list.unwatch(one)
  t.equal(list.size, 2)
  list.watch(other, [])
  t.equal(list.size, 0)
})

const ttlMs = 1_000
const remote = (most = 1_000_000) => {
  const changed: number[] = []
  const presence = new RemotePresence({ self: 'here', ttlMs, maxCharacters: most }, shard =>
    changed.push(shard),
  )
  const hear = (record: PresenceRecord, now: number) => presence.receive(record, now)
  const lives = (edge: string, now: number) => hear({ of: 'edge', edge, ttlMs }, now)
  const has = (edge: string, user: string, state: 'online' | 'away' | 'offline', now: number) =>
    hear(
      {
        of: 'users',
        edge,
        shard: shardOf(user),
        users: listUsers(state === 'offline' ? new Map() : new Map([[user, state]])),
      },
      now,
    )
  return { presence, changed, lives, has }
}

t.test('users have the state that living edges report: online anywhere is online', async t => {
  const { presence, lives, has } = remote()
  has('there', 'bob', 'away', 0)
  t.equal(presence.stateOf('bob'), 'offline', 'the edge’s life is not known yet')
  lives('there', 0)
  t.equal(presence.stateOf('bob'), 'away')
  lives('elsewhere', 0)
  has('elsewhere', 'bob', 'online', 0)
  t.equal(presence.stateOf('bob'), 'online')
  has('elsewhere', 'bob', 'offline', 0)
  t.equal(presence.stateOf('bob'), 'away')
})

t.test('a silent edge has no users; a returning one has its previous users', async t => {
  const { presence, changed, lives, has } = remote()
  lives('here', 0)
  lives('there', 0)
  has('there', 'bob', 'online', 0)
  changed.length = 0
  for (const now of [300, 600, 900]) lives('here', now)
  presence.check(1_100)
  t.same(changed, [], 'this edge itself may be deaf')
  lives('here', 1_200)
  presence.check(1_200)
  t.same(changed, [shardOf('bob')])
  t.equal(presence.stateOf('bob'), 'offline')
  t.equal(presence.size, 0)
  lives('there', 1_500)
  t.same(changed, [shardOf('bob'), shardOf('bob')])
  t.equal(presence.stateOf('bob'), 'online')
})

t.test(
  'an edge that does not receive itself does not judge others, and gives them time afterwards',
  async t => {
    const { presence, lives, has } = remote()
    lives('here', 0)
    lives('there', 0)
    has('there', 'bob', 'online', 0)
    presence.check(5_000)
    t.equal(presence.stateOf('bob'), 'online')
    for (const now of [6_000, 6_300, 6_600, 6_900]) lives('here', now)
    presence.check(6_900)
    t.equal(presence.stateOf('bob'), 'online')
    lives('here', 7_200)
    presence.check(7_200)
    t.equal(presence.stateOf('bob'), 'offline')
  },
)

t.test('also after a silence shorter than a life', async t => {
  const { presence, lives, has } = remote()
  for (const now of [0, 300, 600]) lives('here', now)
  lives('there', 350)
  has('there', 'bob', 'online', 350)
  presence.check(1_350)
  lives('here', 1_400)
  presence.check(1_400)
  t.equal(presence.stateOf('bob'), 'online', 'the other edge could not be received either')
  lives('there', 2_300)
  for (const now of [1_700, 2_000, 2_300, 2_600]) lives('here', now)
  presence.check(2_600)
  t.equal(presence.stateOf('bob'), 'online')
})

t.test('lists beyond the bound are not kept, and removed ones make room', async t => {
  const { presence, lives, has } = remote(40)
  lives('there', 0)
  for (let n = 0; n < 20; n++) has('there', `user-${n}`, 'online', 0)
  t.ok(presence.characters <= 40 && presence.characters > 20)
  const known = () =>
    Array.from({ length: 20 }, (_, n) => presence.stateOf(`user-${n}`)).filter(s => s === 'online')
  const before = known().length
  t.ok(before >= 2 && before < 20, `${before} known`)
  for (let n = 0; n < 20; n++) has('there', `user-${n}`, 'offline', 0)
  t.equal(presence.characters, 0)
  has('there', 'user-19', 'online', 0)
  t.equal(known().length, 1)
})

t.test('lists of an edge that is long dead are forgotten', async t => {
  const { presence, lives, has } = remote()
  lives('there', 0)
  has('there', 'bob', 'online', 0)
  for (let now = 0; now <= 50_000; now += 500) {
    lives('here', now)
    presence.check(now)
  }
  t.equal(presence.characters, 0)
})

t.test('records that the store acknowledged and lost are written again, received ones are not', async t => {
  const written: string[] = []
  let losing = true
  let listener: PresenceListener | undefined
  const sessions = new SessionRegistry()
  const board = new PresenceBoard(
    {
      edge: 'here',
      sessions,
      store: {
        async put(records) {
          for (const record of records) {
            if (record.of === 'users') written.push(record.users)
            if (!losing) listener?.heard(record)
          }
        },
        follow(given) {
          listener = given
        },
        close() {},
      },
      lastSeen: undefined,
      contacts: undefined as never,
      metrics: createEdgeMetrics(new Registry()),
      logger: { debug() {}, info() {}, warn() {}, error() {} },
    },
    { ...defaultEdgeLimits, presenceEveryMs: 5, presenceLifeMs: 60, offlineMs: 10 },
  )
  t.teardown(() => board.close())
  const until = async (count: number) => {
    while (written.length < count) await sleep(5)
  }
  const session = openSession()
  session.user = 'alice'
  sessions.opened(session)
  board.opened(session)
  await until(3)
  losing = false
  await until(4)
  const heard = written.length
  await sleep(5 * 60)
  t.equal(written.length, heard)
  losing = true
  board.closed(session, sessions.closed(session))
  await until(heard + 2)
  t.match(written, [...Array(heard).fill(' alice | '), noUsers, noUsers], 'also an empty list')
})
