import t from 'tap'
import { startConfab } from '../harness/confab.ts'
import type { RawClient } from '../harness/raw-client.ts'
import { httpOf } from '../harness/upload.ts'

const commands = { channelMembers: 3 }
const here = await startConfab(t, { commands })
const there = await startConfab(t, { nats: here.nats, commands })
const alice = await here.connect('alice')
const types = (socket: RawClient, c: string) =>
  socket.frames.filter(frame => frame.t === 'event' && frame.c === c).map(frame => frame.type)
const errorOf = async (socket: RawClient, type: string, fields: object) =>
  (await socket.request(type, { ...fields })).error as { code: string; field?: string; until?: string }
const until = '2099-01-01T00:00:00.000Z'

t.test('for a banned member, the event of the ban is the last, on every node', async t => {
  for (const kind of ['group', 'channel']) {
    const c = `out-${kind}`
    const [bob, phone] = [await here.connect('bob'), await there.connect('bob')]
    await alice.ok('create', { c, kind, members: ['bob', 'carol'] })
    await Promise.all([
      alice.ok('send', { c, m: 'm1', text: `bob in the ${kind}` }),
      alice.ok('ban', { c, user: 'bob', until: '2099-01-01T01:00:00+01:00' }),
      alice.ok('send', { c, m: 'm2', text: 'without bob' }),
    ])
    t.match(await alice.event(c, 3), { type: 'member.banned', user: 'bob', from: 'alice', until })
    await alice.event(c, 4)
    for (const socket of [bob, phone]) {
      await socket.event(c, 3)
      await socket.settled()
      t.same(types(socket, c), ['conversation.created', 'message.posted', 'member.banned'])
      const code = kind === 'group' ? 'NOT_FOUND' : 'NOT_MEMBER'
      for (const [type, fields] of [
        ['history', {}],
        ['members', {}],
        ['bans', {}],
        ['send', { m: 'b1', text: 'x' }],
        ['search', { q: 'bob' }],
        ['presence', {}],
      ] as const)
        t.equal(await socket.code(type, { c, ...fields }), code, type)
      t.notMatch(await socket.ok('inbox'), { items: [{ c }] })
      t.same((await socket.ok('search', { q: `"in the ${kind}"` })).hits, [])
      const join = await errorOf(socket, 'join', { c })
      if (kind === 'group') t.match(join, { code: 'NOT_FOUND', until: undefined }, 'a group reveals nothing')
      else t.match(join, { code: 'BANNED', until })
    }
    t.match((await alice.ok('members', { c })).members, [{ user: 'alice' }, { user: 'carol' }])
    t.match(await errorOf(alice, 'invite', { c, user: 'bob' }), { code: 'BANNED', field: '/user', until })
    const carol = await there.connect('carol')
    for (const type of ['ban', 'unban']) t.equal(await carol.code(type, { c, user: 'alice' }), 'FORBIDDEN')
    t.equal(await carol.code('bans', { c }), 'FORBIDDEN')
    const back = await there.connect('bob', { resume: { [c]: 2 } })
    await back.find(frame => frame.t === 'refetch' && frame.c === c && frame.reason === 'not_member')
    t.same(types(back, c), [], 'a resume after the ban')
    await alice.ok('unban', { c, user: 'bob' })
    await alice.ok('invite', { c, user: 'bob' })
    t.match(await phone.event(c, 6), { type: 'member.joined', user: 'bob' })
  }
})

t.test('a follower of a large channel is banned on all devices, and cannot return', async t => {
  const c = 'large'
  await alice.ok('create', { c, kind: 'channel', members: ['u1', 'u2'] })
  const [xia, phone] = [await here.connect('xia'), await there.connect('xia')]
  await xia.ok('join', { c })
  await alice.ok('send', { c, m: 'm1', text: 'word' })
  for (const socket of [xia, phone]) await socket.event(c, 2)
  await alice.ok('ban', { c, user: 'xia' })
  for (const socket of [xia, phone])
    await socket.find(frame => frame.t === 'refetch' && frame.c === c && frame.reason === 'not_member')
  await alice.ok('send', { c, m: 'm2', text: 'word' })
  await alice.event(c, 4)
  for (const socket of [xia, phone]) {
    await socket.settled()
    t.notOk(socket.seqs(c).includes(4))
    t.equal(await socket.code('history', { c }), 'NOT_MEMBER')
    t.equal(await socket.code('join', { c }), 'BANNED')
    t.match(await socket.ok('inbox'), { items: [] })
    t.same((await socket.ok('search', { q: 'word' })).hits, [])
  }
  t.notMatch(JSON.stringify(await alice.ok('members', { c })), /xia/)
  const again = await there.connect('xia')
  await alice.ok('send', { c, m: 'm3', text: 'word' })
  await alice.event(c, 5)
  await again.settled()
  t.same(again.seqs(c), [])
  await alice.ok('unban', { c, user: 'xia' })
  await again.ok('join', { c })
})

t.test('bans: a page at a time, for owners and admins, also over HTTP', async t => {
  const c = 'many'
  await alice.ok('create', { c, kind: 'group', members: [] })
  const users = ['u5', 'u1', 'u4', 'u2', 'u3']
  for (const user of users) await alice.ok('ban', { c, user, ...(user === 'u4' ? { until } : {}) })
  t.same((await alice.ok('bans', { c })).bans, [
    { user: 'u1' },
    { user: 'u2' },
    { user: 'u3' },
    { user: 'u4', until },
    { user: 'u5' },
  ])
  const first = await alice.ok('bans', { c, limit: 2 })
  t.match(first.bans, [{ user: 'u1' }, { user: 'u2' }])
  const second = await httpOf(there, 'alice').request('bans', { c, limit: 3, cursor: first.cursor })
  t.match(second, { ok: true, bans: [{ user: 'u3' }, { user: 'u4' }, { user: 'u5' }], cursor: undefined })
  t.equal(await alice.code('bans', { c, cursor: 'x' }), 'BAD_REQUEST')
})

t.test('the end of a ban is a time in the future, in any form of ISO 8601', async t => {
  const c = 'times'
  await alice.ok('create', { c, kind: 'group', members: [] })
  for (const wrong of [
    'tomorrow',
    'Jan 1 2099',
    '2099-01-01T00:00:00',
    '9999-12-31T23:59:59-01:00',
    '2020-01-01T00:00:00Z',
    '+012345-01-01T00:00:00Z',
    '-000001-01-01',
    '2099-13-01',
  ])
    t.match(
      await errorOf(alice, 'ban', { c, user: 'bob', until: wrong }),
      {
        code: 'BAD_REQUEST',
        field: '/until',
      },
      wrong,
    )
  for (const right of ['2099-01-01', '2099-01-01T00:00Z', '2098-12-31T19:00:00.000-05:00']) {
    await alice.ok('ban', { c, user: 'bob', until: right })
    t.same((await alice.ok('bans', { c })).bans, [{ user: 'bob', until }], right)
  }
  t.equal(alice.frames.filter(frame => frame.type === 'member.banned' && frame.c === c).length, 1)
  const ends = new Date(Date.now() + 300).toISOString()
  await alice.ok('ban', { c, user: 'bob', until: ends })
  while (new Date().toISOString() < ends) await new Promise(resolve => setTimeout(resolve, 20))
  t.same((await alice.ok('bans', { c })).bans, [])
  await alice.ok('invite', { c, user: 'bob' })
})

t.test('requests of a session keep their order around a ban', async t => {
  const c = 'order'
  await alice.ok('create', { c, kind: 'group', members: ['bob', 'carol', 'dave'] })
  const asked = [
    ['send', { m: 'm1', text: 'one' }],
    ['ban', { user: 'bob' }],
    ['send', { m: 'm2', text: 'two' }],
    ['unban', { user: 'bob' }],
    ['invite', { user: 'bob' }],
    ['send', { m: 'm3', text: 'three' }],
  ] as const
  const answers = await Promise.all(asked.map(([type, fields]) => alice.request(type, { c, ...fields })))
  t.same(
    answers.map(({ seq }) => seq),
    [2, 3, 4, 5, 6, 7],
  )
})

t.test('an archived conversation: no messages, no signals, and all reads', async t => {
  const c = 'old'
  await alice.ok('create', { c, kind: 'group', members: ['bob'], title: 'Old tea' })
  const bob = await there.connect('bob')
  await bob.ok('send', { c, m: 'm1', text: 'archived words' })
  await alice.ok('settings', { c, archived: true })
  t.match(await bob.event(c, 3), { type: 'conversation.settings_changed', archived: true })
  for (const [type, fields] of [
    ['send', { m: 'm2', text: 'x' }],
    ['edit', { m: 'm1', text: 'x' }],
    ['react', { m: 'm1', emoji: '👍', on: true }],
    ['typing', { on: true }],
    ['call', { to: 'alice', call: 'x', kind: 'offer', data: 'x' }],
  ] as const)
    t.equal(await bob.code(type, { c, ...fields }), 'ARCHIVED', type)
  await bob.ok('call', { c, to: 'alice', call: 'x', kind: 'bye' })
  t.match(await bob.ok('conversation', { c }), { archived: true })
  t.match(await bob.ok('inbox', { seen: { [c]: 3 } }), { items: [{ c, archived: true }] })
  t.match((await bob.ok('search', { q: 'archived' })).hits, [{ c, m: 'm1' }])
  t.match((await bob.ok('history', { c })).events, [{ seq: 1 }, { seq: 2 }, { seq: 3 }])
  await bob.ok('read', { c, seq: 3 })
  await bob.ok('delete', { c, m: 'm1' })
  await alice.ok('settings', { c, archived: false })
  await bob.ok('send', { c, m: 'm2', text: 'open again' })
  t.match(await bob.ok('conversation', { c }), { archived: false })
  t.notMatch(await bob.ok('inbox', { seen: { [c]: 6 } }), { items: [{ archived: true }] })
})

t.test('a hidden conversation leaves the list of the user, and returns by itself', async t => {
  const [yan, laptop] = [await here.connect('yan'), await there.connect('yan')]
  const { c } = (await yan.ok('direct', { user: 'alice' })) as { c: string }
  await alice.ok('send', { c, m: 'm1', text: 'hi' })
  await yan.event(c, 2)
  const listed = async (socket: RawClient) =>
    ((await socket.ok('inbox', { seen: { [c]: 1 } })).items as { c: string }[]).some(item => item.c === c)
  const becomes = async (isListed: boolean) => {
    for (const socket of [yan, laptop])
      for (let look = 0; (await listed(socket)) !== isListed; look++) {
        if (look > 100) return false
        await new Promise(resolve => setTimeout(resolve, 20))
      }
    return true
  }
  await yan.ok('hide', { c, on: true })
  t.ok(await becomes(false))
  t.notMatch(await yan.ok('inbox', { seen: { [c]: 2 } }), { behind: true }, '`seen` still waits for it')
  t.ok(await listed(alice), 'the other user has it')
  t.match((await yan.ok('history', { c })).events, [{ seq: 1 }, { seq: 2 }])
  t.match((await yan.ok('search', { q: 'hi', c })).hits, [{ m: 'm1' }])
  await alice.ok('react', { c, m: 'm1', emoji: '👍', on: true })
  await yan.event(c, 3)
  t.ok(await becomes(false), 'a reaction does not bring it back')
  await alice.ok('send', { c, m: 'm2', text: 'ho' })
  await laptop.event(c, 4)
  t.ok(await becomes(true))
  await laptop.ok('hide', { c, on: true })
  t.ok(await becomes(false))
  t.match(await yan.ok('direct', { user: 'alice' }), { c, created: false })
  t.ok(await becomes(true), 'opening it shows it')
  await yan.ok('hide', { c, on: true })
  await yan.ok('hide', { c, on: false })
  t.ok(await becomes(true))
  await yan.ok('hide', { c, on: true })
  await yan.ok('send', { c, m: 'y1', text: 'mine' })
  t.ok(await becomes(true), 'an own message')
  const group = 'hidden-group'
  await alice.ok('create', { c: group, kind: 'group', members: ['yan'] })
  await yan.event(group, 1)
  await yan.ok('hide', { c: group, on: true })
  t.equal(await (await here.connect('eve')).code('hide', { c: group, on: true }), 'NOT_FOUND')
})
