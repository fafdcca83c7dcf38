import t from 'tap'
import { startConfab } from '../harness/confab.ts'
import { showPresence } from '../harness/show-presence.ts'
import { png, upload } from '../harness/upload.ts'

const confab = await startConfab(t)
const alice = await confab.connect('alice', { device: 'phone' })
const tablet = await confab.connect('alice', { device: 'tablet' })
const bob = await confab.connect('bob')

/** Returns the fields that an answer adds. */
const plain = ({ re: _re, ok: _ok, ...rest }: Record<string, unknown>) => rest

t.test('commands, each with its event', async t => {
  const c = 'all'
  const attachment = await upload(confab, 'alice', png())
  const commands: [
    who: typeof alice,
    t: string,
    fields: Record<string, unknown>,
    event: Record<string, unknown>,
  ][] = [
    [
      alice,
      'create',
      { c, kind: 'group', title: 'All', members: ['bob'] },
      { type: 'conversation.created', title: 'All' },
    ],
    [alice, 'send', { c, m: 'm1', text: 'one' }, { type: 'message.posted', m: 'm1', n: 1, text: 'one' }],
    [
      bob,
      'send',
      { c, m: 'm2', text: 'two', replyTo: 'm1' },
      { type: 'message.posted', n: 2, replyTo: 'm1' },
    ],
    [
      alice,
      'send',
      { c, m: 'm3', text: '', attachments: [attachment] },
      { type: 'message.posted', attachments: [attachment] },
    ],
    [alice, 'edit', { c, m: 'm1', text: 'uno' }, { type: 'message.edited', m: 'm1', text: 'uno' }],
    [bob, 'react', { c, m: 'm1', emoji: '🫖', on: true }, { type: 'reaction.added', m: 'm1', emoji: '🫖' }],
    [bob, 'react', { c, m: 'm1', emoji: '🫖', on: false }, { type: 'reaction.removed', m: 'm1' }],
    [alice, 'delete', { c, m: 'm2' }, { type: 'message.deleted', m: 'm2' }],
    [alice, 'invite', { c, user: 'carol' }, { type: 'member.joined', user: 'carol', role: 'member' }],
    [
      alice,
      'role',
      { c, user: 'bob', role: 'admin' },
      { type: 'member.role_changed', user: 'bob', role: 'admin' },
    ],
    [bob, 'remove', { c, user: 'carol' }, { type: 'member.left', user: 'carol', from: 'bob' }],
    [bob, 'rename', { c, title: 'Everything' }, { type: 'conversation.renamed', title: 'Everything' }],
    [
      bob,
      'settings',
      { c, posting: 'staff' },
      { type: 'conversation.settings_changed', posting: 'staff', slowModeSeconds: 0 },
    ],
  ]
  for (const [index, [who, type, fields, event]] of commands.entries()) {
    t.match(await who.ok(type, fields), { seq: index + 1 }, type)
    for (const member of [alice, tablet, bob])
      t.match(await member.event(c, index + 1), { c, ...event }, type)
  }
  t.match(
    await alice.ok('send', { c, m: 'm1', text: 'one' }),
    { seq: 2, duplicate: true },
    'also after an edit',
  )
  t.match((await alice.request('send', { c, m: 'm1', text: 'uno' })).error, { code: 'CONFLICT', field: '/m' })
  const key = { key: 'reused' }
  await bob.ok('rename', { c, title: 'Anything', ...key })
  t.match((await bob.request('invite', { c, user: 'carol', ...key })).error, {
    code: 'CONFLICT',
    field: '/key',
  })
  t.equal(await bob.code('send', { c, m: 'm1', text: 'mine' }), 'CONFLICT')
  t.equal(await bob.code('edit', { c, m: 'm1', text: 'mine' }), 'FORBIDDEN')
  t.equal(await alice.code('delete', { c, m: 'nothing' }), 'NOT_FOUND')
  t.equal(await bob.code('create', { c, kind: 'group', members: [] }), 'ALREADY_EXISTS')
})

t.test('channels: join and leave', async t => {
  await alice.ok('create', { c: 'open', kind: 'channel', title: 'Open', members: [] })
  t.equal(await bob.code('send', { c: 'open', m: 'm1', text: 'hi' }), 'NOT_MEMBER')
  t.match(await bob.ok('join', { c: 'open' }), { seq: 2 })
  t.match(await bob.event('open', 2), { type: 'member.joined', user: 'bob' })
  t.match(await bob.ok('leave', { c: 'open' }), { seq: 3 })
  t.match(await bob.event('open', 3), { type: 'member.left', user: 'bob' })
})

t.test('a channel in which members post slowly, or not at all', async t => {
  const c = 'slow'
  await alice.ok('create', { c, kind: 'channel', title: 'Slow', members: ['bob'] })
  await alice.ok('settings', { c, slowModeSeconds: 3600 })
  await bob.ok('send', { c, m: 'm1', text: 'one' })
  const { error } = await bob.request('send', { c, m: 'm2', text: 'two' })
  t.match(error, { code: 'RATE_LIMITED', retryable: true })
  const { retryAfterMs } = error as { retryAfterMs: number }
  t.ok(retryAfterMs > 0 && retryAfterMs <= 3_600_000)
  t.match(await bob.ok('send', { c, m: 'm1', text: 'one' }), { duplicate: true })
  for (const m of ['a1', 'a2']) await alice.ok('send', { c, m, text: 'not for staff' })
  await alice.ok('settings', { c, posting: 'staff', slowModeSeconds: 0 })
  t.equal(await bob.code('send', { c, m: 'm2', text: 'two' }), 'FORBIDDEN')
  t.same(plain(await bob.ok('conversation', { c })), {
    kind: 'channel',
    title: 'Slow',
    head: 6,
    memberCount: 2,
    role: 'member',
    posting: 'staff',
    slowModeSeconds: 0,
    archived: false,
    historyFrom: 'start',
    first: 1,
  })
})

t.test('history: pages in both directions, and no page exceeds a frame', async t => {
  const c = 'long'
  await alice.ok('create', { c, kind: 'group', members: [] })
  await Promise.all(
    Array.from({ length: 119 }, (_, n) => alice.ok('send', { c, m: `m${n}`, text: `message ${n}` })),
  )
  const seqs = (answer: Record<string, unknown>) => (answer.events as { seq: number }[]).map(({ seq }) => seq)
  const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => from + n)

  const last = await alice.ok('history', { c })
  t.same(seqs(last), range(71, 120))
  t.match(last, { head: 120, more: true })
  t.same(seqs(await alice.ok('history', { c, before: 71, limit: 70 })), range(1, 70))
  t.match(await alice.ok('history', { c, before: 71, limit: 70 }), { more: false })
  t.same(seqs(await alice.ok('history', { c, after: 0, limit: 200 })), range(1, 120))
  t.match(await alice.ok('history', { c, after: 100, limit: 10 }), { more: true, head: 120 })
  t.match(await alice.ok('history', { c, after: 110, limit: 10 }), { more: false })
  t.match(await alice.ok('history', { c, after: 120 }), { events: [], more: false })
  t.match(await alice.ok('history', { c, after: 500 }), { events: [], more: false })
  t.match(await alice.ok('history', { c, before: 1 }), { events: [], more: false })

  for (let n = 0; n < 8; n++) await alice.ok('send', { c, m: `big${n}`, text: 'x'.repeat(16_000) })
  const big = await alice.ok('history', { c, limit: 8 })
  t.same(seqs(big), [125, 126, 127, 128])
  t.match(big, { more: true })
  t.ok(JSON.stringify(big).length <= 65_536)
  t.same(seqs(await alice.ok('history', { c, after: 120, limit: 8 })), [121, 122, 123, 124])
})

t.test('history and inbox are exact while the views lag', async t => {
  const c = 'lagging'
  await alice.ok('create', { c, kind: 'group', members: ['bob'] })
  await alice.ok('send', { c, m: 'm1', text: 'before' })
  t.match(await alice.ok('inbox', { limit: 1 }), { items: [{ c, head: 2 }] })
  confab.pause()
  t.teardown(() => confab.resume())
  for (let n = 2; n < 12; n++) await alice.ok('send', { c, m: `m${n}`, text: `later ${n}` })
  const seqs = async (fields: object) =>
    ((await bob.ok('history', { c, ...fields })).events as { seq: number }[]).map(({ seq }) => seq)
  t.same(await seqs({}), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
  t.same(await seqs({ limit: 3 }), [10, 11, 12])
  t.same(await seqs({ before: 6, limit: 4 }), [2, 3, 4, 5])
  t.same(await seqs({ after: 1, limit: 4 }), [2, 3, 4, 5])
  t.same(await seqs({ after: 11 }), [12])
  const answer = bob.ok('inbox')
  confab.resume()
  t.match(((await answer).items as object[])[0], { c, head: 12 }, 'it waited for the view')
})

t.test('hundreds of requests may be pipelined, with hello too', async t => {
  const c = 'pipe'
  await alice.ok('create', { c, kind: 'group', members: [] })
  const eager = await confab.socket()
  const token = await confab.token('alice')
  const hello = eager.request('hello', { token })
  const sends = Array.from({ length: 500 }, (_, n) => eager.code('send', { c, m: `m${n}`, text: `${n}` }))
  t.match(await hello, { ok: true })
  t.same(new Set(await Promise.all(sends)), new Set(['ok']))
  await eager.event(c, 501)
  t.same(
    eager.frames.filter(frame => frame.c === c).map(frame => frame.m),
    sends.map((_, n) => `m${n}`),
    'in the order of sending',
  )
})

t.test('markers: here, on other devices, and for the others', async t => {
  const c = 'marked'
  await bob.ok('create', { c, kind: 'group', members: ['alice'] })
  for (let n = 1; n <= 5; n++) await bob.ok('send', { c, m: `m${n}`, text: `message ${n}` })
  await alice.event(c, 6)
  t.match(await alice.ok('read', { c, seq: 4 }), { seq: 4 })
  t.match(await tablet.find(frame => frame.t === 'inbox' && frame.c === c), { unread: 2, read: 4, head: 6 })
  const receipt = (read: number) => (frame: Record<string, unknown>) =>
    frame.type === 'receipt' && frame.read === read
  t.match(await bob.find(receipt(4)), { t: 'signal', c, user: 'alice', delivered: 4 })
  t.match(await alice.ok('read', { c, seq: 2 }), { seq: 4 }, 'only forward')
  t.match(await alice.ok('read', { c, seq: 99 }), { seq: 6 }, 'not beyond the head')
  t.match(await bob.find(receipt(6)), { delivered: 6 })
  t.match(await alice.ok('delivered', { c, seq: 5 }), { seq: Number })
  const { members } = await bob.ok('members', { c })
  t.match(members, [
    { user: 'alice', role: 'member', read: 6 },
    { user: 'bob', role: 'owner' },
  ])
  await alice.settled()
  t.notOk(
    alice.frames.some(frame => frame.t === 'inbox' && frame.c === c),
    'the device itself is not told',
  )
})

t.test('two devices move a marker at nearly the same time: the earlier one learns of the later', async t => {
  const c = 'both'
  await bob.ok('create', { c, kind: 'group', members: ['alice'] })
  for (let n = 1; n <= 3; n++) await bob.ok('send', { c, m: `m${n}`, text: `number ${n}` })
  await alice.event(c, 4)
  const pushes = (socket: typeof alice) => socket.frames.filter(frame => frame.t === 'inbox' && frame.c === c)
  confab.pause('inbox')
  t.teardown(() => confab.resume('inbox'))
  await alice.ok('read', { c, seq: 2 })
  await tablet.ok('read', { c, seq: 4 })
  confab.resume('inbox')
  await alice.find(frame => frame.t === 'inbox' && frame.c === c && frame.read === 4)
  await tablet.settled()
  t.same(pushes(tablet), [], 'the later one knows')
  t.match(pushes(alice), [{ read: 4, unread: 0, head: 4 }], 'both moves in one push')
})

t.test('inbox', async t => {
  const { items, cursor } = await alice.ok('inbox', { limit: 1 })
  t.match(items, [{ c: 'both', kind: 'group', unread: 0, lastMessage: { text: 'number 3' } }])
  const rest = await alice.ok('inbox', { cursor })
  t.ok((rest.items as { c: string }[]).every(item => item.c !== 'both'))
  t.equal(await alice.code('inbox', { cursor: 'nonsense' }), 'BAD_REQUEST')
  await alice.ok('mute', { c: 'both', on: true })
  t.match(await alice.ok('inbox', { limit: 1 }), { items: [{ muted: true }] })
})

t.test('inbox and search: no page exceeds a frame, and the next one continues after it', async t => {
  const carol = await confab.connect('carol')
  const conversations = Array.from({ length: 9 }, (_, n) => `big${n}`)
  for (const c of conversations) {
    await carol.ok('create', { c, kind: 'group', members: ['dora'] })
    await carol.ok('send', { c, m: 'm1', text: `${c} kettle ${'茶'.repeat(5_000)}` })
  }
  const dora = await confab.connect('dora')
  const all = async (type: string, fields: Record<string, unknown>, list: string) => {
    const found: string[] = []
    let cursor: unknown
    do {
      const page = await dora.ok(type, { ...fields, cursor })
      t.ok(Buffer.byteLength(JSON.stringify(page)) <= 65_536, `${type}: a page fits a frame`)
      found.push(...(page[list] as { c: string }[]).map(({ c }) => c))
      cursor = page.cursor
    } while (cursor !== undefined)
    return found
  }
  t.same(await all('inbox', { limit: 200 }, 'items'), conversations.toReversed())
  t.same(await all('search', { q: 'kettle', limit: 100 }, 'hits'), conversations.toReversed())
})

t.test('search in the user’s own conversations, with filters', async t => {
  const { hits } = await bob.ok('search', { q: 'message', c: 'marked' })
  t.equal((hits as unknown[]).length, 5)
  t.match(hits, [{ c: 'marked', from: 'bob', text: 'message 5', highlight: '<mark>message</mark> 5' }])
  t.match(await bob.ok('search', { q: 'message 3' }), { hits: [{ seq: 4 }] })
  t.match(await bob.ok('search', { q: 'message', from: 'alice', c: 'marked' }), { hits: [] })
  t.match(await bob.ok('search', { q: 'message', after: '2100-01-01' }), { hits: [] })
  t.match((await bob.request('search', { q: 'x', after: 'soon' })).error, {
    code: 'BAD_REQUEST',
    field: '/after',
  })
  t.equal(await bob.code('search', { q: 'x', cursor: 'nonsense' }), 'BAD_REQUEST')
  const found = (await bob.ok('search', { q: 'message' })).hits as { c: string }[]
  t.ok(
    found.every(hit => hit.c === 'marked'),
    'alice’s own conversation is not found',
  )
})

t.test('typing and presence', async t => {
  await alice.ok('typing', { c: 'marked', on: true })
  t.match(await bob.find(frame => frame.type === 'typing'), {
    t: 'signal',
    c: 'marked',
    user: 'alice',
    on: true,
  })
  await showPresence(confab, 'dave')
  t.match(await bob.ok('presence', { users: ['alice', 'dave'] }), {
    states: { alice: 'online', dave: 'offline' },
  })
  const dave = await confab.connect('dave')
  t.match(await bob.find(frame => frame.type === 'presence'), { user: 'dave', state: 'online' })
  const gone = bob.next(frame => frame.type === 'presence')
  dave.close()
  t.match(await gone, { user: 'dave', state: 'offline' })
  await bob.ok('presence', { users: [] })
  await confab.connect('dave')
  await bob.settled()
  t.equal(bob.frames.filter(frame => frame.type === 'presence').length, 2, 'no longer watched')
})

t.test('ping and block', async t => {
  t.match(await alice.ok('ping'), { at: /^\d{4}-.*Z$/ })
  await bob.ok('create', { c: 'two', kind: 'direct', members: ['alice'] })
  t.match(await alice.request('block', { user: 'bob', on: true, c: [null] }), {
    ok: false,
    error: { code: 'BAD_REQUEST', field: '/c', message: 'c: unknown field.' },
  })
  await alice.ok('block', { user: 'bob', on: true })
  t.equal(await bob.code('send', { c: 'two', m: 'm1', text: 'hi' }), 'FORBIDDEN')
  await alice.ok('block', { user: 'bob', on: false })
  await bob.ok('send', { c: 'two', m: 'm1', text: 'hi' })
})
