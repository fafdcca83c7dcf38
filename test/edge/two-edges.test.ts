import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { startConfab } from '../harness/confab.ts'
import type { RawClient } from '../harness/raw-client.ts'
import { showPresence } from '../harness/show-presence.ts'

const here = await startConfab(t)
const there = await startConfab(t, { nats: here.nats })
await showPresence(here, 'carol', 'dave', 'erin', 'frank')

/** Waits until the edges know each other: presence answers combine both. */
const untilOnline = async (watcher: RawClient, user: string) => {
  for (;;) {
    const { states } = await watcher.ok('presence', { users: [user] })
    if ((states as Record<string, string>)[user] === 'online') return
    await sleep(20)
  }
}

t.test('two edges form one system', async t => {
  const alice = await here.connect('alice')
  const bob = await there.connect('bob')
  await alice.ok('create', { c: 'tea', kind: 'group', members: ['bob'] })
  await bob.event('tea', 1)
  await Promise.all([
    alice.ok('send', { c: 'tea', m: 'a1', text: 'from here' }),
    bob.ok('send', { c: 'tea', m: 'b1', text: 'from there' }),
  ])
  for (const socket of [alice, bob]) {
    await socket.event('tea', 3)
    t.same(socket.seqs('tea'), [1, 2, 3])
  }
  await bob.ok('typing', { c: 'tea', on: true })
  t.match(await alice.find(frame => frame.type === 'typing'), { user: 'bob', on: true })
  await bob.ok('read', { c: 'tea', seq: 3 })
  t.match(await alice.find(frame => frame.type === 'receipt' && frame.user === 'bob'), { read: 3 })
})

t.test('presence combines all edges', async t => {
  const alice = await here.connect('alice')
  const [carolHere, carolThere] = await Promise.all([here.connect('carol'), there.connect('carol')])
  const dave = await there.connect('dave')
  await untilOnline(alice, 'dave')
  t.match(await alice.ok('presence', { users: ['carol', 'dave', 'erin'] }), {
    states: { carol: 'online', dave: 'online', erin: 'offline' },
  })
  const state = (user: string, state: string) => (frame: Record<string, unknown>) =>
    frame.type === 'presence' && frame.user === user && frame.state === state
  dave.close()
  await alice.find(state('dave', 'offline'))
  carolHere.close()
  carolThere.close()
  await alice.find(state('carol', 'offline'))
  t.equal(
    alice.frames.filter(frame => frame.user === 'carol' && frame.type === 'presence').length,
    1,
    'once both have disconnected',
  )
  await there.connect('erin')
  await alice.find(state('erin', 'online'))
})

t.test('an edge that stops takes its users offline', async t => {
  const alice = await here.connect('alice')
  const third = await startConfab(t, { nats: here.nats })
  await third.connect('frank')
  await untilOnline(alice, 'frank')
  await third.edge.drain()
  await alice.find(frame => frame.type === 'presence' && frame.user === 'frank' && frame.state === 'offline')
})

t.test('a device is replaced at any edge', async t => {
  const first = await here.connect('alice', { device: 'phone' })
  const second = await there.connect('alice', { device: 'phone' })
  t.match(await first.closed, { code: 4003 })
  await second.ok('ping')
})

t.test('drain: announced, closed with 1001 later, and no new sockets', async t => {
  const third = await startConfab(t, { nats: here.nats })
  const alice = await third.connect('alice')
  const drained = third.edge.drain()
  t.match(await alice.find(frame => frame.t === 'drain'), { reconnectMs: Number })
  await alice.ok('create', { c: 'last', kind: 'group', members: [] })
  t.match(await alice.closed, { code: 1001 })
  await drained
  await t.rejects(third.socket())
  t.equal(third.edge.connections(), 0)
})

t.test('drain: remaining sockets are closed one after another', async t => {
  const third = await startConfab(t, { nats: here.nats, limits: { drainMs: 2_000 } })
  const clients = await Promise.all(Array.from({ length: 60 }, (_, n) => third.connect(`drained-${n}`)))
  let closed = 0
  for (const client of clients) void client.closed.then(() => closed++)
  const steps = new Set<number>()
  let isOver = false
  const drained = third.edge.drain().then(() => {
    isOver = true
  })
  while (!isOver) {
    steps.add(third.edge.connections())
    await new Promise(resolve => setTimeout(resolve, 10))
  }
  await drained
  t.equal(third.edge.connections(), 0)
  t.ok(steps.size > 10, `${steps.size} different counts on the way down`)
  await Promise.all(clients.map(client => client.closed))
  t.equal(closed, 60)
})
