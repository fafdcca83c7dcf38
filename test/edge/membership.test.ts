import t from 'tap'
import { startConfab } from '../harness/confab.ts'
import type { RawClient } from '../harness/raw-client.ts'

const confab = await startConfab(t, { limits: { topicFrom: 4 } })
const alice = await confab.connect('alice')
const types = (socket: RawClient, c: string) =>
  socket.frames.filter(frame => frame.t === 'event' && frame.c === c).map(frame => frame.type)

t.test('an invited user receives the event of it and later ones', async t => {
  const phone = await confab.connect('bob')
  const tablet = await confab.connect('bob', { subprotocol: 'confab.v1.msgpack' })
  await alice.ok('create', { c: 'tea', kind: 'group', members: [] })
  await alice.ok('send', { c: 'tea', m: 'm1', text: 'before' })
  await alice.ok('invite', { c: 'tea', user: 'bob' })
  await alice.ok('send', { c: 'tea', m: 'm2', text: 'after' })
  for (const socket of [phone, tablet]) {
    await socket.event('tea', 4)
    t.same(types(socket, 'tea'), ['member.joined', 'message.posted'])
  }
})

t.test('for a removed user, the event of the removal is the last', async t => {
  const bob = await confab.connect('bob')
  await alice.ok('create', { c: 'out', kind: 'group', members: ['bob'] })
  // Sent at once: the messages after the removal are in the log before the removal was delivered.
  await Promise.all([
    alice.ok('send', { c: 'out', m: 'm1', text: 'with bob' }),
    alice.ok('remove', { c: 'out', user: 'bob' }),
    alice.ok('send', { c: 'out', m: 'm2', text: 'without bob' }),
    alice.ok('send', { c: 'out', m: 'm3', text: 'without bob' }),
  ])
  await alice.event('out', 5)
  await bob.settled()
  t.same(types(bob, 'out'), ['conversation.created', 'message.posted', 'member.left'])
  t.equal(await bob.code('history', { c: 'out' }), 'NOT_FOUND')
  await alice.ok('invite', { c: 'out', user: 'bob' })
  t.match(await bob.event('out', 6), { type: 'member.joined', user: 'bob' })
})

t.test('removed from a conversation of many sockets', async t => {
  const names = ['u1', 'u2', 'u3', 'u4', 'u5', 'u6']
  await alice.ok('create', { c: 'many', kind: 'group', members: names })
  const sockets = new Map<string, RawClient>()
  for (const [n, name] of names.entries())
    sockets.set(name, await confab.connect(name, n % 2 === 0 ? {} : { subprotocol: 'confab.v1.msgpack' }))
  await alice.ok('send', { c: 'many', m: 'm1', text: 'to all' })
  for (const socket of sockets.values()) await socket.event('many', 2)
  await Promise.all([
    alice.ok('remove', { c: 'many', user: 'u1' }),
    alice.ok('remove', { c: 'many', user: 'u2' }),
    alice.ok('send', { c: 'many', m: 'm2', text: 'to the others' }),
  ])
  for (const name of ['u3', 'u4', 'u5', 'u6'])
    t.same(
      await sockets
        .get(name)!
        .event('many', 5)
        .then(e => e.text),
      'to the others',
    )
  for (const name of ['u1', 'u2']) await sockets.get(name)!.settled()
  t.same(sockets.get('u1')!.seqs('many'), [2, 3])
  t.same(sockets.get('u2')!.seqs('many'), [2, 3, 4])
  for (const socket of sockets.values()) socket.close()
  await alice.ok('send', { c: 'many', m: 'm3', text: 'to nobody' })
})

t.test('at hello, membership is as the log has it, however far the roster lags', async t => {
  await alice.ok('create', { c: 'gone', kind: 'group', members: ['carol'] })
  await alice.ok('inbox')
  confab.pause('roster')
  t.teardown(() => confab.resume('roster'))
  await alice.ok('remove', { c: 'gone', user: 'carol' })
  await alice.ok('create', { c: 'new', kind: 'group', members: ['carol'] })
  await alice.event('new', 1)
  const carol = await confab.connect('carol')
  await alice.ok('send', { c: 'gone', m: 'm1', text: 'not for carol' })
  await alice.ok('send', { c: 'new', m: 'm1', text: 'for carol' })
  await carol.event('new', 2)
  await carol.settled()
  t.same(carol.seqs('gone'), [])
  t.same(carol.seqs('new'), [2])
  t.match(await carol.ok('search', { q: 'carol' }), { hits: [{ c: 'new' }] })
})

t.test('changes during hello are not lost', async t => {
  for (let n = 0; n < 30; n++) {
    const c = `hello${n}`
    const user = `dave${n}`
    const [dave] = await Promise.all([
      confab.connect(user),
      alice.ok('create', { c, kind: 'group', members: [user] }),
    ])
    await alice.ok('send', { c, m: 'm1', text: 'hello' })
    await dave.event(c, 2)
    t.ok(['1,2', '2'].includes(String(dave.seqs(c))), String(dave.seqs(c)))
  }
})
