import t from 'tap'
import { startConfab } from '../harness/confab.ts'
import type { RawClient } from '../harness/raw-client.ts'
import { httpOf } from '../harness/upload.ts'

const here = await startConfab(t)
const there = await startConfab(t, { nats: here.nats })
const alice = await here.connect('alice')

interface Item {
  readonly c: string
  readonly user: string
  readonly by: string
}

const openOf = async (socket: RawClient, fields: object = {}): Promise<Item[]> =>
  (await socket.ok('invitations', { ...fields })).open as Item[]
const conversationsOf = async (socket: RawClient): Promise<string[]> =>
  (await openOf(socket)).map(({ c }) => c)
const pushed = (socket: RawClient, c: string, on: boolean) =>
  socket.find(frame => frame.t === 'invitation' && frame.c === c && frame.on === on)
const errorOf = async (socket: RawClient, type: string, fields: object) => {
  const { re: _re, ...answer } = await socket.request(type, { ...fields })
  return JSON.stringify(answer)
}
/** A user whose setting is `contacts` unless given, with a socket on each node. */
const guest = async (user: string, invitations = 'contacts') => {
  const [socket, phone] = [await here.connect(user), await there.connect(user)]
  await socket.ok('privacy', { invitations })
  return { socket, phone }
}

t.test('a user who has to consent is invited, and becomes a member by accepting, on every node', async t => {
  for (const kind of ['group', 'channel']) {
    const c = `accept-${kind}`
    const user = `bob-${kind}`
    const { socket, phone } = await guest(user)
    await alice.ok('create', { c, kind, title: 'Tea', members: ['carol'] })
    await alice.ok('send', { c, m: 'm1', text: `secret of the ${kind}` })
    t.match(await alice.ok('invite', { c, user, key: 'k1' }), { seq: 3, pending: true })
    t.match(await alice.ok('invite', { c, user, key: 'k1' }), { seq: 3, pending: true }, 'a retry')
    t.match(await alice.ok('invite', { c, user }), { seq: 3, pending: true }, 'again')
    t.match(await alice.event(c, 3), { type: 'member.invited', user, from: 'alice' })
    for (const device of [socket, phone]) {
      t.match(await pushed(device, c, true), { by: 'alice', at: String })
      t.match(await openOf(device), [
        { c, kind, title: 'Tea', memberCount: 2, user, by: 'alice', at: String },
      ])
      const code = kind === 'group' ? 'NOT_FOUND' : 'NOT_MEMBER'
      for (const [type, fields] of [
        ['history', {}],
        ['members', {}],
        ['conversation', {}],
        ['invitations', {}],
        ['send', { m: 'b1', text: 'x' }],
        ['leave', {}],
        ['typing', { on: true }],
      ] as const)
        t.equal(await device.code(type, { c, ...fields }), code, `${type}: not a member yet`)
      t.same((await device.ok('search', { q: 'secret' })).hits, [])
      t.notMatch(await device.ok('inbox'), { items: [{ c }] })
    }
    t.match(await openOf(alice, { c }), [{ c, user, by: 'alice', title: 'Tea' }])
    t.notMatch((await alice.ok('members', { c })).members, [{ user }])
    t.match(await phone.ok('accept', { c, key: 'a1' }), { seq: 4 })
    t.match(await phone.ok('accept', { c, key: 'a1' }), { seq: 4 }, 'a retry')
    for (const device of [alice, socket, phone])
      t.match(await device.event(c, 4), { type: 'member.joined', user, from: user, role: 'member' })
    await socket.ok('send', { c, m: 'b1', text: 'hi' })
    t.match(await alice.event(c, 5), { text: 'hi' })
    t.same(await openOf(socket), [])
    t.same(await openOf(alice, { c }), [])
  }
})

t.test('an invitation ends when the user declines, and when it is withdrawn', async t => {
  const { socket, phone } = await guest('dora')
  await alice.ok('create', { c: 'ends', kind: 'group', members: ['dora', 'carol'] })
  t.match(await alice.event('ends', 1), {
    members: [{ user: 'alice' }, { user: 'carol' }],
    invited: ['dora'],
  })
  for (const device of [socket, phone]) t.ok(await pushed(device, 'ends', true))
  t.same(await conversationsOf(phone), ['ends'])
  await socket.ok('decline', { c: 'ends' })
  t.match(await alice.event('ends', 2), { type: 'member.uninvited', user: 'dora', from: 'dora' })
  for (const device of [socket, phone]) {
    t.ok(await pushed(device, 'ends', false))
    t.same(await openOf(device), [])
    for (const type of ['accept', 'decline']) t.equal(await device.code(type, { c: 'ends' }), 'NOT_FOUND')
  }
  const carol = await there.connect('carol')
  t.equal(await carol.code('invitations', { c: 'ends' }), 'FORBIDDEN')
  await alice.ok('invite', { c: 'ends', user: 'dora' })
  t.equal(await carol.code('remove', { c: 'ends', user: 'dora' }), 'FORBIDDEN')
  await alice.ok('remove', { c: 'ends', user: 'dora' })
  t.match(await carol.event('ends', 4), { type: 'member.uninvited', user: 'dora', from: 'alice' })
  t.same(await openOf(phone), [])
  t.equal(await phone.code('accept', { c: 'ends' }), 'NOT_FOUND')
})

t.test('an invitation ends with a ban, and with the archiving of the conversation', async t => {
  const { socket, phone } = await guest('erin')
  await alice.ok('create', { c: 'over', kind: 'group', members: ['erin'] })
  await alice.ok('create', { c: 'archive', kind: 'channel', members: ['erin'] })
  t.same(await conversationsOf(phone), ['archive', 'over'])
  await alice.ok('ban', { c: 'over', user: 'erin' })
  await alice.ok('settings', { c: 'archive', archived: true })
  t.match(await alice.event('over', 2), { type: 'member.banned', invited: true })
  t.match(await alice.event('archive', 2), { uninvited: ['erin'] })
  for (const device of [socket, phone]) {
    for (const c of ['over', 'archive']) t.ok(await pushed(device, c, false))
    t.same(await openOf(device), [])
  }
  t.equal(await phone.code('accept', { c: 'over' }), 'NOT_FOUND')
  t.equal(await phone.code('accept', { c: 'archive' }), 'NOT_MEMBER')
  t.equal(await alice.code('invite', { c: 'archive', user: 'erin' }), 'ARCHIVED')
  await alice.ok('settings', { c: 'archive', archived: false })
  t.same(await openOf(socket), [], 'it does not open again')
  await alice.ok('ban', { c: 'archive', user: 'frank' })
  const frank = await there.connect('frank')
  await frank.settled()
  t.notOk(
    frank.frames.some(frame => frame.t === 'invitation'),
    'a ban in advance is not told',
  )
})

t.test('one refusal for all reasons: the setting, and a block in either direction', async t => {
  await alice.ok('create', { c: 'refusals', kind: 'group', members: ['carol'] })
  const { socket: sara, phone } = await guest('sara', 'nobody')
  const { socket: blocker } = await guest('blocker', 'everybody')
  await blocker.ok('block', { user: 'alice', on: true })
  await guest('blockee', 'contacts')
  await alice.ok('block', { user: 'blockee', on: true })
  const events = alice.frames.length
  const answers = await Promise.all(
    ['sara', 'blocker', 'blockee'].map(user => errorOf(alice, 'invite', { c: 'refusals', user })),
  )
  t.match(answers[0], /"code":"FORBIDDEN".*"field":"\/user"/)
  t.equal(new Set(answers).size, 1, 'the same bytes')
  const creations = await Promise.all(
    ['sara', 'blocker', 'blockee'].map(user =>
      errorOf(alice, 'create', { c: `r-${user}`, kind: 'group', members: ['carol', user] }),
    ),
  )
  t.match(creations[0], /"code":"FORBIDDEN".*"field":"\/members\/1"/)
  t.equal(new Set(creations).size, 1, 'the same bytes')
  for (const socket of [sara, phone, blocker]) {
    await socket.settled()
    t.same(
      socket.frames.filter(frame => frame.t === 'invitation' || frame.t === 'event'),
      [],
      'no push',
    )
  }
  t.same(
    alice.frames.slice(events).filter(frame => frame.t === 'event'),
    [],
    'no event',
  )
})

t.test('a block after the invitation changes no answer that the inviter gets', async t => {
  const { socket } = await guest('late')
  const { socket: other } = await guest('open')
  await alice.ok('create', { c: 'late-c', kind: 'group', members: [] })
  for (const user of ['late', 'open']) await alice.ok('invite', { c: 'late-c', user })
  t.same(await conversationsOf(socket), ['late-c'])
  await socket.ok('block', { user: 'alice', on: true })
  const again = async (user: string) =>
    (await errorOf(alice, 'invite', { c: 'late-c', user })).replaceAll(user, '')
  t.equal(await again('late'), await again('open'))
  t.match(await openOf(alice, { c: 'late-c' }), [{ user: 'late' }, { user: 'open' }])
  t.same(await openOf(socket), [], 'it is not shown any more')
  t.same(await conversationsOf(other), ['late-c'])
})

t.test('contacts: users that the user has written to in their direct conversation', async t => {
  const { socket, phone } = await guest('gina')
  await alice.ok('create', { c: 'contact', kind: 'group', members: [] })
  const { c: pair } = (await alice.ok('direct', { user: 'gina' })) as { c: string }
  await alice.ok('send', { c: pair, m: 'm1', text: 'hi' })
  await socket.ok('read', { c: pair, seq: 2 })
  t.match(
    await alice.ok('invite', { c: 'contact', user: 'gina' }),
    { pending: true },
    'reading is no writing',
  )
  await phone.ok('send', { c: pair, m: 'm2', text: 'hello' })
  const { pending } = await alice.ok('invite', { c: 'contact', user: 'gina' })
  t.equal(pending, undefined)
  t.match(await phone.event('contact', 3), { type: 'member.joined', user: 'gina', from: 'alice' })
  const bert = await there.connect('bert')
  await bert.ok('create', { c: 'bert-c', kind: 'group', members: ['gina'] })
  t.match(await bert.event('bert-c', 1), { invited: ['gina'] }, 'of another user')
})

t.test('a user who left, or declined, is not added again without consent', async t => {
  const { socket, phone } = await guest('hugo', 'everybody')
  for (const kind of ['group', 'channel']) {
    const c = `left-${kind}`
    await alice.ok('create', { c, kind, members: ['hugo', 'carol'] })
    await socket.ok('leave', { c })
    t.match(await alice.ok('invite', { c, user: 'hugo' }), { pending: true })
    await phone.ok('decline', { c })
    t.match(await alice.ok('invite', { c, user: 'hugo' }), { pending: true })
    await phone.ok('accept', { c })
    await alice.ok('remove', { c, user: 'hugo' })
    t.same(
      (await alice.ok('invite', { c, user: 'hugo' })).pending,
      undefined,
      'a user that the owner removed is added again',
    )
  }
})

t.test('a page of invitations fits a frame, whatever the titles', async t => {
  const { socket } = await guest('walt')
  const title = '語'.repeat(200)
  const ids = Array.from({ length: 120 }, (_, n) => `long-${String(n).padStart(3, '0')}`)
  await Promise.all(ids.map(c => alice.ok('create', { c, kind: 'group', title, members: ['walt'] })))
  const found: string[] = []
  let pages = 0
  for (let cursor: unknown; pages === 0 || cursor !== undefined; pages++) {
    const page = await socket.ok('invitations', { limit: 200, ...(cursor === undefined ? {} : { cursor }) })
    t.ok(Buffer.byteLength(JSON.stringify(page)) <= 64 * 1024)
    found.push(...(page.open as Item[]).map(({ c }) => c))
    cursor = page.cursor
  }
  t.same(found, ids)
  t.ok(pages > 1)
})

t.test('invitations: a page at a time, also over HTTP', async t => {
  const { socket } = await guest('ivan')
  const ids = ['p1', 'p2', 'p3', 'p4', 'p5']
  for (const c of ids) await alice.ok('create', { c, kind: 'group', members: ['ivan'] })
  const first = await socket.ok('invitations', { limit: 2 })
  t.match(first.open, [{ c: 'p1' }, { c: 'p2' }])
  const second = await httpOf(there, 'ivan').request('invitations', { limit: 3, cursor: first.cursor })
  t.match(second, { ok: true, open: [{ c: 'p3' }, { c: 'p4' }, { c: 'p5' }], cursor: undefined })
  for (const user of ['u3', 'u1', 'u2']) {
    await guest(user)
    await alice.ok('invite', { c: 'p1', user })
  }
  const page = await alice.ok('invitations', { c: 'p1', limit: 3 })
  t.match(page.open, [{ user: 'ivan' }, { user: 'u1' }, { user: 'u2' }])
  t.match((await alice.ok('invitations', { c: 'p1', cursor: page.cursor })).open, [{ user: 'u3' }])
})
