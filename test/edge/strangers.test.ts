import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Requests, type RequestType } from '../../src/events/index.ts'
import { startConfab } from '../harness/confab.ts'
import type { RawClient } from '../harness/raw-client.ts'

const confab = await startConfab(t)
const alice = await confab.connect('alice')
const stranger = await confab.connect('stranger')
const former = await confab.connect('former')

/** Every request that names a conversation, as a member could send it. `create` does not concern an existing one. */
const naming: Readonly<Record<string, (c: string) => Record<string, unknown>>> = {
  send: c => ({ c, m: 'intruder', text: 'let me in' }),
  edit: c => ({ c, m: 'm1', text: 'changed' }),
  delete: c => ({ c, m: 'm1' }),
  react: c => ({ c, m: 'm1', emoji: '👀', on: true }),
  invite: c => ({ c, user: 'friend' }),
  remove: c => ({ c, user: 'bob' }),
  accept: c => ({ c }),
  decline: c => ({ c }),
  invitations: c => ({ c }),
  ban: c => ({ c, user: 'bob' }),
  unban: c => ({ c, user: 'bob' }),
  bans: c => ({ c }),
  role: c => ({ c, user: 'bob', role: 'admin' }),
  leave: c => ({ c }),
  rename: c => ({ c, title: 'Mine' }),
  settings: c => ({ c, posting: 'staff' }),
  conversation: c => ({ c }),
  read: c => ({ c, seq: 1 }),
  delivered: c => ({ c, seq: 1 }),
  mute: c => ({ c, on: true }),
  hide: c => ({ c, on: true }),
  typing: c => ({ c, on: true }),
  call: c => ({ c, to: 'bob', call: 'ring', kind: 'offer', data: 'v=0' }),
  presence: c => ({ c, users: ['alice', 'bob'] }),
  history: c => ({ c }),
  members: c => ({ c }),
  search: c => ({ q: 'secret', c }),
  media: c => ({ c, name: 'a.txt', type: 'text/plain', size: 5, sha256: 'a'.repeat(64) }),
}

for (const c of ['private', 'public', 'pair']) {
  const kind = { private: 'group', public: 'channel', pair: 'direct' }[c]
  await alice.ok('create', {
    c,
    kind,
    title: 'Secret title',
    members: c === 'pair' ? ['bob'] : ['bob', 'former'],
  })
  await alice.ok('send', { c, m: 'm1', text: 'a secret word' })
  if (c !== 'pair') await alice.ok('remove', { c, user: 'former' })
}
await former.event('private', 3)
// A former user with a contact who may see it.
const gone = await confab.connect('gone')
const contact = await confab.connect('contact')
await gone.ok('create', { c: 'before', kind: 'group', members: ['contact'] })
gone.close()
const goneSince = async () =>
  ((await contact.ok('presence', { users: ['gone'], lastSeen: true })).lastSeen as Record<string, string>)
    .gone
while ((await goneSince()) === undefined) await sleep(20)
await former.event('public', 3)
const framesBefore = former.frames.length
const heads = async () =>
  await Promise.all(['private', 'public', 'pair'].map(async c => (await alice.ok('history', { c })).head))
const before = await heads()

const refusal = async (socket: RawClient, type: string, fields: object): Promise<unknown> => {
  const { error } = await socket.request(type, { ...fields })
  return error
}

t.test('this test covers every request that names a conversation', async t => {
  const named = Object.entries(Requests)
    .filter(([type, schema]) => 'c' in schema.properties && type !== 'create')
    .map(([type]) => type)
  t.same(new Set([...Object.keys(naming), 'join']), new Set(named))
})

t.test('a group or direct conversation looks to strangers as if it did not exist', async t => {
  for (const [type, fields] of [...Object.entries(naming), ['join', (c: string) => ({ c })] as const])
    for (const [socket, c] of [
      [stranger, 'private'],
      [stranger, 'pair'],
      [former, 'private'],
    ] as const) {
      const absent = await refusal(socket, type, fields('nowhere'))
      t.match(absent, { code: 'NOT_FOUND' }, type)
      t.same(await refusal(socket, type, fields(c)), absent, `${type} ${c}`)
    }
})

t.test('a channel reveals only that the user is not a member', async t => {
  for (const [type, fields] of Object.entries(naming))
    for (const socket of [stranger, former])
      t.match(await refusal(socket, type, fields('public')), { code: 'NOT_MEMBER' }, type)
})

t.test('resume, sync, search, inbox and create reveal nothing', async t => {
  const cursors = { private: 1, public: 1, pair: 1, nowhere: 1 }
  for (const socket of [stranger, former]) {
    await socket.ok('sync', { cursors })
    for (const c of Object.keys(cursors))
      t.same(await socket.find(frame => frame.t === 'refetch' && frame.c === c), {
        t: 'refetch',
        c,
        reason: 'not_member',
        head: 0,
      })
    t.match(await socket.ok('search', { q: 'secret' }), { hits: [] })
    t.match(await socket.ok('inbox'), { items: [] })
    t.same((await socket.ok('presence', { users: ['gone', 'never'], lastSeen: true })).lastSeen, {})
    t.same((await socket.ok('undelivered')).messages, [])
    t.match(await refusal(socket, 'create', { c: 'private', kind: 'group', members: [] }), {
      code: 'ALREADY_EXISTS',
      message: String,
    })
  }
  const resuming = await confab.connect('stranger', { resume: cursors })
  for (const c of Object.keys(cursors))
    t.match(await resuming.find(frame => frame.c === c), { t: 'refetch', reason: 'not_member', head: 0 })
})

t.test('an anonymous socket learns nothing', async t => {
  for (const [type, fields] of [...Object.entries(naming), ['join', (c: string) => ({ c })] as const]) {
    const socket = await confab.socket()
    const there = await refusal(socket, type, fields('private'))
    t.match(there, { code: 'UNAUTHENTICATED' }, type)
    t.same(there, await refusal(socket, type, fields('nowhere')), type)
    socket.close()
  }
})

t.test('none of it had an effect', async t => {
  await alice.ok('send', { c: 'private', m: 'm2', text: 'another secret word' })
  await alice.ok('send', { c: 'public', m: 'm2', text: 'another secret word' })
  t.same(await heads(), [(before[0]! as number) + 1, (before[1] as number) + 1, before[2]])
  for (const socket of [stranger, former]) await socket.settled()
  for (const frame of [...stranger.frames, ...former.frames.slice(framesBefore)]) {
    t.not(frame.t, 'event')
    t.not(frame.t, 'signal')
    t.notMatch(JSON.stringify(frame), /secret|Secret|alice|bob/)
  }
  t.notOk(alice.frames.some(frame => frame.t === 'signal' && frame.user !== 'alice'))
})

t.test('this test’s types cover the protocol', async t => {
  const unnamed: RequestType[] = [
    'create',
    'block',
    'direct',
    'privacy',
    'profile',
    'profiles',
    'inbox',
    'undelivered',
    'sessions',
    'sync',
    'ping',
  ]
  t.same(new Set([...Object.keys(naming), 'join', ...unnamed]), new Set(Object.keys(Requests)))
})
