import t from 'tap'
import { startConfab } from '../harness/confab.ts'

const confab = await startConfab(t)
const ann = await confab.connect('ann', { device: 'phone' })
const tablet = await confab.connect('ann', { device: 'tablet' })
const bob = await confab.connect('bob')

const items = async () => (await ann.ok('inbox')).items as { c: string }[]
const item = async (c: string) => (await items()).find(found => found.c === c)
const list = async () => (await items()).map(({ c }) => c)

t.test('deleted messages do not count as unread', async t => {
  const c = 'unread'
  await bob.ok('create', { c, kind: 'group', members: ['ann'] })
  await bob.ok('send', { c, m: 'm1', text: 'one' })
  t.match(await item(c), { unread: 1, lastMessage: { m: 'm1' } })
  await bob.ok('delete', { c, m: 'm1' })
  t.match(await ann.event(c, 3), { type: 'message.deleted', m: 'm1', messageSeq: 2 })
  t.match(await item(c), { unread: 0, lastMessage: null, head: 3 })
  for (const m of ['m2', 'm3', 'm4']) await bob.ok('send', { c, m, text: m })
  await bob.ok('delete', { c, m: 'm4' })
  t.match(await item(c), { unread: 2, lastMessage: { m: 'm3' } })
  await ann.ok('read', { c, seq: 4 })
  t.match(await tablet.find(frame => frame.t === 'inbox' && frame.c === c), { unread: 1, read: 4, head: 7 })
  await bob.ok('delete', { c, m: 'm2' })
  t.match(await item(c), { unread: 1 }, 'a read message')
  t.match((await ann.ok('undelivered')).messages, [{ c, m: 'm3' }])
  await bob.ok('delete', { c, m: 'm3' })
  t.match(await item(c), { unread: 0, lastMessage: null })
})

t.test('only messages and the own arrival move a conversation to the top', async t => {
  for (const c of ['x', 'y']) {
    await bob.ok('create', { c, kind: 'channel', members: ['ann'] })
    await bob.ok('send', { c, m: 'm1', text: c })
  }
  await bob.ok('create', { c: 'z', kind: 'channel', members: [] })
  const before = ['y', 'x', 'unread']
  t.same(await list(), before)
  await bob.ok('react', { c: 'x', m: 'm1', emoji: '👍', on: true })
  await bob.ok('react', { c: 'x', m: 'm1', emoji: '👍', on: false })
  await bob.ok('edit', { c: 'x', m: 'm1', text: 'edited' })
  await bob.ok('invite', { c: 'x', user: 'cyd' })
  await bob.ok('role', { c: 'x', user: 'cyd', role: 'admin' })
  await bob.ok('remove', { c: 'x', user: 'cyd' })
  await bob.ok('rename', { c: 'x', title: 'renamed' })
  await bob.ok('settings', { c: 'x', slowModeSeconds: 1 })
  await ann.ok('read', { c: 'x', seq: 5 })
  await ann.ok('mute', { c: 'x', on: true })
  t.same(await list(), before)
  await ann.ok('join', { c: 'z' })
  t.same(await list(), ['z', ...before], 'the own arrival')
  await bob.ok('send', { c: 'x', m: 'm2', text: 'two' })
  t.same(await list(), ['x', 'z', 'y', 'unread'])
  await bob.ok('delete', { c: 'x', m: 'm2' })
  t.same(await list(), ['x', 'z', 'y', 'unread'], 'a deletion')
})

t.test('later pages continue in the order of the first one', async t => {
  const first = await ann.ok('inbox', { limit: 2 })
  await bob.ok('send', { c: 'unread', m: 'm9', text: 'later' })
  const rest = await ann.ok('inbox', { limit: 2, cursor: first.cursor, seen: { unread: 11 } })
  const ids = [first, rest].flatMap(page => (page.items as { c: string }[]).map(({ c }) => c))
  t.same(ids, ['x', 'z', 'y', 'unread'])
  t.equal((await list())[0], 'unread')
})
