import t from 'tap'
import { startConfab } from '../harness/confab.ts'

const confab = await startConfab(t)

t.test('a message is delivered to the other members', async t => {
  const alice = await confab.connect('alice')
  const bob = await confab.connect('bob')
  t.match(await alice.ok('create', { c: 'tea', kind: 'group', title: 'Tea', members: ['bob'] }), { seq: 1 })
  const sent = await alice.ok('send', { c: 'tea', m: 'm1', text: 'It is ready' })
  t.match(sent, { seq: 2, duplicate: false, at: /Z$/ })
  const event = { t: 'event', c: 'tea', seq: 2, type: 'message.posted', m: 'm1', n: 1, from: 'alice' }
  t.match(await bob.event('tea', 2), { ...event, text: 'It is ready', at: sent.at })
  t.match(await alice.event('tea', 2), event)
  t.same(bob.seqs('tea'), [1, 2])
  t.match(await bob.ok('history', { c: 'tea' }), { head: 2, more: false, events: [{ seq: 1 }, { seq: 2 }] })
})
