import t from 'tap'
import { startConfab } from '../harness/confab.ts'
import { EventSourceClient } from '../harness/event-source.ts'

const confab = await startConfab(t, { limits: { receiptEveryMs: 0 } })
const alice = await confab.connect('alice')
const bob = await confab.connect('bob')
const phone = await confab.connect('bob')
const carol = await confab.connect('carol')
await alice.ok('create', { c: 'tea', kind: 'group', members: ['bob', 'carol'] })
for (let n = 1; n <= 9; n++) await alice.ok('send', { c: 'tea', m: `m${n}`, text: 'hello' })

const receiptsOf = (user: string, client = alice) =>
  client.frames.filter(frame => frame.type === 'receipt' && frame.user === user)
const marks = async (client: typeof alice) => {
  const { members } = (await client.ok('members', { c: 'tea' })) as {
    members: { user: string; read?: number }[]
  }
  return Object.fromEntries(members.map(({ user, read }) => [user, read]))
}

t.test('a user who hides receipts moves markers unseen, and sees those of others', async t => {
  await bob.ok('read', { c: 'tea', seq: 2 })
  await alice.find(frame => frame.type === 'receipt' && frame.user === 'bob' && frame.read === 2)
  t.match(await bob.ok('privacy', { receipts: 'nobody' }), { lastSeen: 'contacts', receipts: 'nobody' })
  t.match(await bob.ok('privacy'), { receipts: 'nobody' })
  const stream = new EventSourceClient(confab.url, await confab.token('alice'))
  t.teardown(() => stream.stop())
  await stream.until(() => stream.of('hello').length > 0)
  const before = receiptsOf('bob').length
  await bob.ok('read', { c: 'tea', seq: 4 })
  await bob.ok('delivered', { c: 'tea', seq: 6 })
  // The user's other devices, and the user's own lists, still follow the marker.
  await phone.find(frame => frame.t === 'inbox' && frame.read === 4)
  // A later receipt of another user shows that none of bob is on its way.
  await carol.ok('read', { c: 'tea', seq: 3 })
  await alice.find(frame => frame.type === 'receipt' && frame.user === 'carol')
  await bob.find(frame => frame.type === 'receipt' && frame.user === 'carol')
  await stream.until(() => stream.of('signal').some(signal => signal.user === 'carol'))
  t.equal(receiptsOf('bob').length, before)
  t.same(
    stream.of('signal').filter(signal => signal.user === 'bob'),
    [],
  )
  while ((await marks(bob)).bob !== 4) await bob.settled()
  t.match(await marks(bob), { bob: 4, carol: 3 }, 'the user sees the own marker, and those of others')
  t.same(await marks(alice), { alice: undefined, bob: undefined, carol: 3 })
  t.notMatch(JSON.stringify((await alice.ok('members', { c: 'tea' })).members), /"bob"[^}]*delivered/)
  const { items } = (await alice.ok('inbox')) as { items: object[] }
  t.notMatch(JSON.stringify(items), /bob/)
})

t.test('a user who shows them again is seen at the current marker', async t => {
  t.match(await bob.ok('privacy', { receipts: 'everybody' }), { receipts: 'everybody' })
  while ((await marks(alice)).bob !== 4) await alice.settled()
  await bob.ok('read', { c: 'tea', seq: 7 })
  await alice.find(frame => frame.type === 'receipt' && frame.user === 'bob' && frame.read === 7)
  t.equal(await bob.code('privacy', { receipts: 'contacts' }), 'BAD_REQUEST')
})
