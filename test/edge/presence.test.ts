import { setTimeout as sleep } from 'node:timers/promises'
import { jetstreamManager } from '@nats-io/jetstream'
import t, { type Test } from 'tap'
import { startConfab, type TestConfab } from '../harness/confab.ts'
import { dayOfJoins, generatedJoins, noCorpus, type Step } from '../harness/joins-and-parts.ts'
import type { RawClient } from '../harness/raw-client.ts'
import { showPresence } from '../harness/show-presence.ts'

const everyMs = 50
const limits = { presenceEveryMs: everyMs, presenceLifeMs: 5_000, offlineMs: 1_000, awayMs: 0 }
const here = await startConfab(t, { limits })
const there = await startConfab(t, { nats: here.nats, limits })

type States = Record<string, string>

const states = async (client: RawClient, users: readonly string[]): Promise<States> =>
  (await client.ok('presence', { users })).states as States

/** Returns the states of a user that the client received, in order. */
const told = (client: RawClient, user: string) =>
  client.frames.filter(frame => frame.type === 'presence' && frame.user === user).map(frame => frame.state)

const becomes = (client: RawClient, user: string, state: string) =>
  client.find(frame => frame.type === 'presence' && frame.user === user && frame.state === state)

const figure = async (confab: TestConfab, name: string): Promise<number> => {
  const text = await confab.metrics()
  return Number(text.match(new RegExp(`^confab_edge_presence_${name} (.*)$`, 'm'))?.[1])
}

/** Waits until both edges know each other. */
const meet = async () => {
  while ((await figure(here, 'edges')) < 1 || (await figure(there, 'edges')) < 1) await sleep(20)
}
await meet()
await showPresence(here, 'bob', 'carol', 'dora', 'emil', 'henry', 'ida', 'zoe')

/** Waits for periodic steps of both edges, so that pending updates were sent. */
const quiet = async (client: RawClient) => {
  await sleep(6 * everyMs)
  await client.settled()
}

t.test('a reconnect is invisible, at the same edge or another', async t => {
  const alice = await here.connect('alice')
  let bob = await there.connect('bob')
  while ((await states(alice, ['bob'])).bob !== 'online') await sleep(20)
  alice.frames.length = 0
  bob.close()
  bob = await there.connect('bob')
  await quiet(alice)
  bob.close()
  bob = await here.connect('bob')
  await quiet(alice)
  await quiet(alice)
  t.same(told(alice, 'bob'), [])
  t.match(await states(alice, ['bob']), { bob: 'online' })
  bob.close()
  await becomes(alice, 'bob', 'offline')
  t.same(told(alice, 'bob'), ['offline'])
})

t.test('a client says away and online; the most active device decides, at any edge', async t => {
  const watcher = await here.connect('watcher')
  const phone = await here.connect('carol')
  const laptop = await there.connect('carol')
  await states(watcher, ['carol'])
  await quiet(watcher)
  watcher.frames.length = 0
  await phone.ok('presence', { state: 'away' })
  await quiet(watcher)
  t.same(told(watcher, 'carol'), [], 'she is at the other edge')
  await laptop.ok('presence', { state: 'away' })
  await becomes(watcher, 'carol', 'away')
  await laptop.ok('ping')
  await laptop.ok('inbox')
  await quiet(watcher)
  t.same(told(watcher, 'carol'), ['away'], 'the explicit state holds')
  await laptop.ok('presence', { state: 'online' })
  await becomes(watcher, 'carol', 'online')
  laptop.close()
  await quiet(watcher)
  t.same(told(watcher, 'carol'), ['away', 'online'])
  await watcher.find(
    frame => frame.user === 'carol' && frame.state === 'away' && told(watcher, 'carol').length > 2,
  )
  t.same(told(watcher, 'carol'), ['away', 'online', 'away'], 'only the phone is left, and it is away')
})

t.test('inactivity is away; a ping does not count, a request on any device does', async t => {
  const idle = await startConfab(t, { nats: here.nats, limits: { ...limits, awayMs: 1_500 } })
  const watcher = await idle.connect('watcher')
  const [phone, laptop] = [await idle.connect('dora'), await idle.connect('dora')]
  t.match(await states(watcher, ['dora']), { dora: 'online' })
  const pinging = setInterval(() => phone.send({ id: 'p', t: 'ping' }), 100)
  t.teardown(() => clearInterval(pinging))
  await becomes(watcher, 'dora', 'away')
  watcher.frames.length = 0
  await laptop.ok('inbox')
  await becomes(watcher, 'dora', 'online')
  clearInterval(pinging)
  watcher.frames.length = 0
  await becomes(watcher, 'dora', 'away')
  watcher.frames.length = 0
  await idle.connect('dora')
  await becomes(watcher, 'dora', 'online')
})

t.test('an event stream’s user is as active as its commands', async t => {
  const idle = await startConfab(t, { nats: here.nats, limits: { ...limits, awayMs: 1_500 } })
  const watcher = await idle.connect('watcher')
  const headers = { authorization: `Bearer ${await idle.token('emil')}` }
  const abort = new AbortController()
  t.teardown(() => abort.abort())
  // Held until the end: the garbage collector closes the connection of a response that nothing refers to.
  const stream = await fetch(`${idle.url}/v1/stream`, { headers, signal: abort.signal })
  t.match(await states(watcher, ['emil']), { emil: 'online' })
  await becomes(watcher, 'emil', 'away')
  watcher.frames.length = 0
  await fetch(`${idle.url}/v1/inbox`, { headers })
  await becomes(watcher, 'emil', 'online')
  const refused = await fetch(`${idle.url}/v1/commands`, {
    method: 'POST',
    headers,
    body: JSON.stringify({ id: '1', t: 'presence', state: 'away' }),
  })
  t.match(await refused.json(), { error: { code: 'BAD_REQUEST', field: '/state' } })
  await stream.body?.cancel()
})

t.test('members of a conversation are counted at all edges, for members only', async t => {
  const members = Array.from({ length: 40 }, (_, n) => `member-${n}`)
  const frank = await here.connect('frank')
  await frank.ok('create', { c: 'crowd', kind: 'group', members })
  await Promise.all(members.slice(0, 5).map(user => here.connect(user)))
  await Promise.all(members.slice(5, 10).map(user => there.connect(user)))
  for (;;) {
    const { online, of, approximate, states } = await frank.ok('presence', { c: 'crowd' })
    t.match({ of, approximate, states }, { of: 41, approximate: undefined, states: {} })
    if (online === 11) break
    t.ok((online as number) < 11)
    await sleep(100)
  }
  t.equal(await (await here.connect('stranger')).code('presence', { c: 'crowd' }), 'NOT_FOUND')
  const rough = await startConfab(t, { nats: here.nats, limits: { ...limits, presenceCounted: 10 } })
  const member = await rough.connect('member-11')
  while ((await figure(rough, 'edges')) < 2) await sleep(20)
  const { online, of, approximate } = await member.ok('presence', { c: 'crowd' })
  t.match({ of, approximate }, { of: 41, approximate: true })
  t.ok(Math.abs((online as number) - 12) <= 5, `${online} of ${of}, and 12 are`)
  t.equal(await frank.code('presence', { c: 'crowd', users: ['frank'], state: 'asleep' }), 'BAD_REQUEST')
})

t.test('the watched users of a node are bounded, and ended watches make room', async t => {
  const small = await startConfab(t, { nats: here.nats, limits: { ...limits, presenceWatched: 10 } })
  const users = (from: number, count: number) => Array.from({ length: count }, (_, n) => `w-${from + n}`)
  const one = await small.connect('one')
  const other = await small.connect('other')
  await one.ok('presence', { users: users(0, 8) })
  t.equal(await other.code('presence', { users: users(8, 3) }), 'OVERLOADED')
  await other.ok('presence', { users: users(0, 10) })
  t.equal(await other.code('presence', { users: [...users(0, 10), 'w-10'] }), 'OVERLOADED')
  await other.ok('presence', { users: users(0, 8) })
  one.close()
  other.close()
  while ((await figure(small, 'watched')) > 0) await sleep(20)
  const third = await small.connect('third')
  await third.ok('presence', { users: users(20, 10) })
})

t.test('a change is one write and one push per watcher, for any number of watchers', async t => {
  const manager = await jetstreamManager(here.connection.connection)
  const written = async () => (await manager.streams.info('KV_confab-presence')).state.last_seq
  const costOf = async (watchers: number) => {
    const clients = await Promise.all(Array.from({ length: watchers }, (_, n) => here.connect(`fan-${n}`)))
    const star = `star-${watchers}`
    await showPresence(there, star)
    await Promise.all(clients.map(client => states(client, [star])))
    await quiet(clients[0]!)
    const lists = await figure(there, 'lists_total')
    const pushes = await figure(here, 'pushes_total')
    const socket = await there.connect(star)
    await Promise.all(clients.map(client => becomes(client, star, 'online')))
    socket.close()
    await Promise.all(clients.map(client => becomes(client, star, 'offline')))
    await quiet(clients[0]!)
    for (const client of clients) client.close()
    return {
      lists: (await figure(there, 'lists_total')) - lists,
      pushes: (await figure(here, 'pushes_total')) - pushes,
    }
  }
  const before = await written()
  for (const watchers of [1, 10, 100]) {
    const { lists, pushes } = await costOf(watchers)
    t.equal(pushes, 2 * watchers, `${pushes} pushes to ${watchers}`)
    t.equal(lists, 2, 'lists written')
  }
  t.ok((await written()) > before)
})

t.test('a slow socket is updated later, with the last state of each user', async t => {
  const slow = await here.connectSlow('slow')
  const gina = await here.connect('gina')
  await gina.ok('create', { c: 'flood', kind: 'group', members: ['slow'] })
  slow.send({ id: 'w', t: 'presence', users: ['henry', 'ida'] })
  await slow.until(frame => frame.re === 'w')
  slow.stopReading()
  // Until more is buffered than the limit for presence.
  for (let n = 0; here.edge.bufferedBytes() < 400_000 && n < 1_000; n++)
    await gina.ok('send', { c: 'flood', m: `f${n}`, text: 'x'.repeat(16_000) })
  t.ok(here.edge.bufferedBytes() >= 400_000)
  const pushes = await figure(here, 'pushes_total')
  for (let round = 0; round < 3; round++) {
    const [henry, ida] = [await here.connect('henry'), await here.connect('ida')]
    await quiet(gina)
    henry.close()
    if (round < 2) ida.close()
    await sleep(limits.offlineMs + 4 * everyMs)
  }
  t.equal(await figure(here, 'pushes_total'), pushes, 'nothing more is buffered for it')
  slow.goOnReading()
  await slow.until(frame => frame.type === 'presence' && frame.user === 'ida')
  await slow.until(frame => frame.type === 'presence' && frame.user === 'henry')
  const heard = slow.frames.filter(frame => frame.type === 'presence')
  t.same(heard.map(frame => `${frame.user} ${frame.state}`).sort(), ['henry offline', 'ida online'])
})

/** Users connect and disconnect at one edge as fast as possible; watchers at the other receive consistent states. */
const storm = async (t: Test, steps: readonly Step[]) => {
  const users = [...new Set(steps.map(({ user }) => user))].slice(0, 200)
  await showPresence(there, ...users)
  const watchers = await Promise.all(Array.from({ length: 20 }, (_, n) => here.connect(`eye-${n}`)))
  await Promise.all(watchers.map(watcher => states(watcher, users)))
  const [lists, pushes] = [await figure(there, 'lists_total'), await figure(here, 'pushes_total')]
  const began = performance.now()
  const sockets = new Map<string, RawClient>()
  const come = async (user: string) => {
    sockets.get(user)?.close()
    sockets.set(user, await there.connect(user))
  }
  // In log order per user; different users in parallel.
  for (let at = 0; at < steps.length; at += 20) {
    const lately = new Map<string, Promise<void>>()
    for (const { user, comes } of steps.slice(at, at + 20)) {
      const next = async () => {
        await lately.get(user)
        if (comes) await come(user)
        else {
          sockets.get(user)?.close()
          sockets.delete(user)
        }
      }
      lately.set(user, next())
    }
    await Promise.all(lately.values())
  }
  const looks = Math.ceil((performance.now() - began) / everyMs)
  const wanted: States = {}
  for (const user of users) wanted[user] = sockets.has(user) ? 'online' : 'offline'
  const probe = await here.connect('probe')
  for (;;) {
    const { states } = await probe.ok('presence', { users })
    if (users.every(user => (states as States)[user] === wanted[user])) break
    await sleep(everyMs)
  }
  await quiet(probe)
  const of = (client: RawClient) => client.frames.filter(frame => frame.type === 'presence')
  const first = of(watchers[0]!)
  for (const watcher of watchers) {
    await watcher.settled()
    const last: States = {}
    for (const { user, state } of of(watcher)) last[user as string] = state as string
    for (const user of users) t.equal(last[user] ?? 'offline', wanted[user], user)
    t.equal(of(watcher).length, first.length)
  }
  const changes = steps.filter(({ user }) => users.includes(user)).length
  t.ok(first.length <= changes, `${first.length} pushes a watcher for ${changes} joins and parts`)
  const probed = of(probe).length
  t.equal((await figure(here, 'pushes_total')) - pushes, first.length * watchers.length + probed)
  const written = (await figure(there, 'lists_total')) - lists
  t.ok(written <= steps.length * 2, `${written} lists in ${looks} looks for ${steps.length} steps`)
  for (const client of [...sockets.values(), ...watchers, probe]) client.close()
}

t.test('a storm of joins and parts: generated', { timeout: 60_000 }, t => storm(t, generatedJoins(400)))

t.test('a storm of joins and parts: a day of an IRC channel', { timeout: 60_000, skip: noCorpus }, t =>
  storm(t, dayOfJoins('2006-05-27.train-c')),
)

t.test(
  'NATS fails and returns without the bucket: no user appears to change, and everything continues',
  async t => {
    const alice = await here.connect('alice')
    const bob = await there.connect('bob')
    await states(alice, ['bob', 'zoe'])
    while ((await states(alice, ['bob', 'zoe'])).bob !== 'online') await sleep(20)
    alice.frames.length = 0
    await here.nats.kill9()
    await sleep(limits.presenceLifeMs * 1.5)
    await here.nats.restart()
    while (!(here.connection.connected() && there.connection.connected())) await sleep(20)
    await sleep(limits.presenceLifeMs * 1.5)
    t.same(told(alice, 'bob'), [])
    t.match(await states(alice, ['bob', 'zoe']), { bob: 'online', zoe: 'offline' })
    await there.connect('zoe')
    await becomes(alice, 'zoe', 'online')
    bob.close()
    await becomes(alice, 'bob', 'offline')
  },
)
