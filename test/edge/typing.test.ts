import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Receipts } from '../../src/edge/signals/markers.ts'
import { startConfab } from '../harness/confab.ts'
import type { RawClient } from '../harness/raw-client.ts'

const everyMs = 300
const confab = await startConfab(t, {
  limits: {
    typingEveryMs: everyMs,
    typingSilenceMs: 1_000,
    typingMembers: 3,
    receiptEveryMs: 300,
    receiptMembers: 3,
  },
})
const [alice, bob, carol] = [
  await confab.connect('alice'),
  await confab.connect('bob'),
  await confab.connect('carol'),
]

/** Returns the typing signals of a user that a socket received, with times. */
const heard = (client: RawClient, c: string, user = 'alice') => {
  const said: { on: unknown; at: number }[] = []
  void client
    .next(frame => {
      if (frame.type === 'typing' && frame.c === c && frame.user === user)
        said.push({ on: frame.on, at: performance.now() })
      return false
    })
    .catch(() => {})
  return said
}

const until = async (holds: () => boolean) => {
  for (let n = 0; n < 1000 && !holds(); n++) await sleep(5)
}

t.test('typing is sent at an interval, the last state last', async t => {
  await alice.ok('create', { c: 'tea', kind: 'group', members: ['bob'] })
  const said = heard(bob, 'tea')
  const started = performance.now()
  while (performance.now() - started < 4 * everyMs) {
    await alice.ok('typing', { c: 'tea', on: true })
    await sleep(20)
  }
  await alice.ok('typing', { c: 'tea', on: false })
  await until(() => said.at(-1)?.on === false)
  const seconds = performance.now() - started
  t.equal(said.at(-1)?.on, false)
  t.ok(said.length >= 3 && said.length <= Math.floor(seconds / everyMs) + 2, `${said.length} words`)
  t.ok(said.slice(0, -1).every(({ on }) => on === true))
  const count = said.length
  for (let n = 0; n < 10; n++) await alice.ok('typing', { c: 'tea', on: false })
  await sleep(2 * everyMs)
  t.equal(said.length, count, 'its end is sent once')
})

t.test('typing that is not repeated expires', async t => {
  await alice.ok('create', { c: 'milk', kind: 'group', members: ['bob'] })
  const said = heard(bob, 'milk')
  await alice.ok('typing', { c: 'milk', on: true })
  await until(() => said.length === 2)
  t.same(
    said.map(({ on }) => on),
    [true, false],
  )
})

t.test('users and conversations are independent', async t => {
  await alice.ok('create', { c: 'one', kind: 'group', members: ['bob', 'carol'] })
  await alice.ok('create', { c: 'two', kind: 'group', members: ['bob', 'carol'] })
  for (const c of ['one', 'two']) {
    await alice.ok('typing', { c, on: true })
    await carol.ok('typing', { c, on: true })
  }
  for (const c of ['one', 'two'])
    for (const user of ['alice', 'carol'])
      t.match(await bob.find(f => f.type === 'typing' && f.c === c && f.user === user), { on: true })
})

t.test('a large conversation has no typing; the request is answered nevertheless', async t => {
  await alice.ok('create', { c: 'large', kind: 'group', members: ['bob', 'carol', 'dave'] })
  await alice.ok('typing', { c: 'large', on: true })
  await alice.ok('create', { c: 'small', kind: 'group', members: ['bob'] })
  await alice.ok('typing', { c: 'small', on: true })
  await bob.find(frame => frame.type === 'typing' && frame.c === 'small')
  t.notOk(bob.frames.some(frame => frame.type === 'typing' && frame.c === 'large'))
})

t.test(
  'receipts of a conversation are batched, the last one per user; markers are stored at once',
  async t => {
    await alice.ok('create', { c: 'read', kind: 'group', members: ['bob', 'carol'] })
    for (let n = 0; n < 40; n++) await alice.ok('send', { c: 'read', m: `m${n}`, text: 'x' })
    await carol.event('read', 41)
    const before = alice.frames.length
    const receipts = () =>
      alice.frames.slice(before).filter(frame => frame.type === 'receipt' && frame.user === 'bob')
    for (let seq = 2; seq <= 41; seq++) t.equal((await bob.ok('read', { c: 'read', seq })).seq, seq)
    await until(() => receipts().at(-1)?.read === 41)
    t.equal(receipts().at(-1)?.read, 41)
    t.ok(receipts().length < 20, `${receipts().length} receipts of 40 moves`)
    const { members } = (await carol.ok('members', { c: 'read' })) as {
      members: { user: string; read: number }[]
    }
    t.equal(members.find(({ user }) => user === 'bob')?.read, 41)
  },
)

t.test('the first move at once, later ones together, and then at once again', async t => {
  const told: string[] = []
  const receipts = new Receipts(50, (c, user) => void told.push(`${c} ${user}`))
  t.teardown(() => receipts.close())
  receipts.moved('tea', 'alice')
  for (let n = 0; n < 5; n++) for (const user of ['alice', 'bob']) receipts.moved('tea', user)
  receipts.moved('milk', 'alice')
  t.same(told, ['tea alice', 'milk alice'])
  await until(() => told.length === 4)
  t.same(told.slice(2), ['tea alice', 'tea bob'])
  await sleep(200)
  receipts.moved('tea', 'bob')
  t.equal(told.length, 5)
})
