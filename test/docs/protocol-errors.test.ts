import t from 'tap'
import {
  CommonErrors,
  ErrorRegistry,
  Limits,
  RequestErrors,
  type RequestType,
} from '../../src/events/index.ts'
import { startConfab } from '../harness/confab.ts'
import { described, httpOf, png, upload } from '../harness/upload.ts'

type Fields = Record<string, unknown>
type Answer = { ok?: unknown; error?: { code: string; field?: string } }

const confab = await startConfab(t, {
  wrapViews: views => ({
    ...views,
    search: {
      search: query => (query.q === 'slow' ? new Promise(() => {}) : views.search.search(query)),
    },
  }),
  limits: {
    searchMs: 2_000,
    userSockets: 3,
    presenceWatched: 3,
    resumeConversations: 1,
    callMembers: 3,
    callSignals: 1,
    burstMs: 3_000,
  },
  commands: { bans: 2, invitations: 3, userInvitations: 2 },
})
const clients = {
  alice: await confab.connect('alice'),
  bob: await confab.connect('bob'),
  carol: await confab.connect('carol'),
  dave: await confab.connect('dave'),
}
type User = keyof typeof clients
const { alice, bob, carol } = clients

await alice.ok('create', { c: 'group', kind: 'group', members: ['bob', 'carol'] })
await alice.ok('send', { c: 'group', m: 'm1', text: 'one' })
await alice.ok('send', { c: 'group', m: 'gone', text: 'two' })
await alice.ok('delete', { c: 'group', m: 'gone' })
await alice.ok('create', { c: 'big', kind: 'group', members: ['bob', 'carol', 'dave'] })
await alice.ok('create', { c: 'channel', kind: 'channel', members: ['bob'] })
await alice.ok('create', { c: 'staff', kind: 'channel', members: ['bob'] })
await bob.ok('send', { c: 'staff', m: 'm1', text: 'one' })
await alice.ok('settings', { c: 'staff', posting: 'staff' })
await alice.ok('create', { c: 'slow', kind: 'channel', members: ['bob'] })
await alice.ok('settings', { c: 'slow', slowModeSeconds: 600 })
await bob.ok('send', { c: 'slow', m: 'm1', text: 'one' })
await alice.ok('create', { c: 'archived', kind: 'group', members: ['bob'] })
await alice.ok('send', { c: 'archived', m: 'm1', text: 'one' })
await alice.ok('settings', { c: 'archived', archived: true })
await alice.ok('create', { c: 'bans', kind: 'channel', members: ['bob', 'carol'] })
await alice.ok('ban', { c: 'bans', user: 'dave' })
await alice.ok('ban', { c: 'bans', user: 'erin' })
await bob.ok('create', { c: 'direct', kind: 'direct', members: ['carol'] })
await bob.ok('send', { c: 'direct', m: 'm1', text: 'one' })
await carol.ok('send', { c: 'direct', m: 'm2', text: 'two' })
await bob.ok('create', { c: 'pair', kind: 'group', members: ['carol'] })
await carol.ok('create', { c: 'friends', kind: 'direct', members: ['dave'] })
await carol.ok('block', { user: 'bob', on: true })
// These users have to consent, and sara is neither added nor invited.
for (const user of ['con1', 'con2', 'con3']) {
  const socket = await confab.connect(user)
  await socket.ok('privacy', { invitations: 'contacts' })
}
await (await confab.connect('sara')).ok('privacy', { invitations: 'nobody' })
await alice.ok('create', { c: 'guests', kind: 'group', members: ['bob', 'con1', 'con2'] })
// 64 different reactions of 4 users to one message.
await alice.ok('send', { c: 'big', m: 'm1', text: 'one' })
const emojis = Array.from({ length: 65 }, (_, i) => String.fromCodePoint(0x1f400 + i))
for (const [i, emoji] of emojis.slice(0, 64).entries())
  await [alice, bob, carol, clients.dave][Math.floor(i / 20)]!.ok('react', {
    c: 'big',
    m: 'm1',
    emoji,
    on: true,
  })

const attachment = await upload(confab, 'alice', png())
const announced = await alice.ok('media', described(png('more')))
const tooLong = 'x'.repeat(Limits.textBytes + 1)
const file = described(png('other'))
const cursors = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`c${i}`, 1]))
const users = (count: number) => Array.from({ length: count }, (_, i) => `u${i}`)

const ask =
  (user: User, fields: Fields) =>
  async (type: string): Promise<Answer> =>
    await clients[user].request(type, fields)
const askHttp =
  (user: User, fields: Fields) =>
  async (type: string): Promise<Answer> =>
    await httpOf(confab, user).request(type, fields)
/** `hello` on a socket of its own. */
const greet =
  (token: string | undefined, fields: Fields = {}) =>
  async (): Promise<Answer> =>
    await (await confab.socket()).request('hello', { token, ...fields })

/** The same request until the server answers with an error. */
const askUntilRefused =
  (user: User, fields: Fields) =>
  async (type: string): Promise<Answer> => {
    for (let i = 0; i < 50; i++) {
      const answer = await clients[user].request(type, fields)
      if (answer.ok !== true) return answer
    }
    return {}
  }

/** Two `sync` at once: conversations of the first still wait when the second arrives. */
const syncTwice = async (): Promise<Answer> => {
  const answers = await Promise.all([
    alice.request('sync', { cursors: cursors(Limits.cursors) }),
    alice.request('sync', { cursors: { group: 0 } }),
  ])
  return answers[1]!
}

type Case = (type: string) => Promise<Answer>

/** A request of alice in a channel of her own, with a key that she has used for another command there. */
const reuseKey =
  (fields: Fields): Case =>
  async type => {
    const c = `reused-${type}`
    await alice.ok('create', { c, kind: 'channel', members: ['bob'] })
    await alice.ok('send', { c, m: 'm1', text: 'one' })
    await alice.ok('edit', { c, m: 'm1', text: 'two', key: 'k' })
    return await alice.request(type, { c, key: 'k', ...fields })
  }

/** Requests of a user that is not a member of a group, and not of a channel. */
const byStrangers = (fields: Fields): Case[] => [
  ask('dave', { c: 'group', ...fields }),
  ask('dave', { c: 'channel', ...fields }),
]
const bad = { cursor: '?' }

/** Requests of alice with data that no client may store. */
const badData = (fields: Fields): Case[] => [
  ask('alice', { ...fields, data: [] }),
  ask('alice', { ...fields, data: { a: 'x'.repeat(Limits.dataBytes) } }),
]

/**
 * For each error of RequestErrors, in the same order, a request that causes it. `null`: only a fault or the load of the
 * server causes it.
 */
const slowSearch = ask('alice', { q: 'slow' })

const cases: Record<RequestType | 'hello', (Case | null)[]> = {
  hello: [
    ask('alice', {}),
    greet(await confab.token('alice'), { resume: cursors(Limits.cursors + 1) }),
    greet('not.a.token'),
    async () => {
      for (let i = 0; i < 2; i++) await confab.connect('carol')
      return await greet(await confab.token('carol'))()
    },
    null,
  ],
  create: [
    ask('alice', { c: 'new', kind: 'group', members: [], title: ' ' }),
    ...badData({ c: 'new', kind: 'group', members: [] }),
    ask('alice', { c: 'group', kind: 'group', members: [] }),
    async type => {
      await alice.ok(type, { c: 'new-1', kind: 'group', members: [], key: 'k' })
      return await alice.request(type, { c: 'new-1', kind: 'group', members: ['bob'], key: 'k' })
    },
    ask('dave', { c: 'new', kind: 'direct', members: ['carol'] }),
    ask('alice', { c: 'new', kind: 'direct', members: ['bob', 'carol'] }),
    ask('bob', { c: 'new', kind: 'direct', members: ['carol'] }),
    ask('bob', { c: 'new', kind: 'direct', members: ['carol'], historyFrom: 'join' }),
    ask('alice', { c: 'new', kind: 'group', members: ['sara'] }),
    ask('alice', { c: 'new', kind: 'group', members: ['con1', 'con2', 'con3'] }),
  ],
  send: [
    ...byStrangers({ m: 'x', text: 'x' }),
    ask('alice', { c: 'group', m: 'x', text: '' }),
    ask('alice', { c: 'group', m: 'x', text: tooLong }),
    ...badData({ c: 'group', m: 'x', text: 'x' }),
    ask('bob', { c: 'group', m: 'm1', text: 'x' }),
    ask('bob', { c: 'direct', m: 'x', text: 'x' }),
    ask('alice', { c: 'archived', m: 'x', text: 'x' }),
    ask('bob', { c: 'staff', m: 'x', text: 'x' }),
    ask('bob', { c: 'slow', m: 'x', text: 'x' }),
    ask('alice', { c: 'group', m: 'x', text: '', attachments: [{ ...attachment, name: '../x' }] }),
    ask('bob', { c: 'group', m: 'x', text: '', attachments: [attachment] }),
    ask('alice', {
      c: 'group',
      m: 'x',
      text: '',
      attachments: [{ ...described(png('more')), mediaId: announced.mediaId }],
    }),
    ask('alice', { c: 'group', m: 'x', text: '', attachments: [{ ...attachment, name: 'b.png' }] }),
    null,
  ],
  edit: [
    ...byStrangers({ m: 'm1', text: 'x' }),
    ask('alice', { c: 'group', m: 'gone', text: 'x' }),
    ask('alice', { c: 'group', m: 'm1', text: '' }),
    ask('alice', { c: 'group', m: 'm1', text: tooLong }),
    ...badData({ c: 'group', m: 'm1', text: 'x' }),
    ask('bob', { c: 'group', m: 'm1', text: 'x' }),
    ask('bob', { c: 'direct', m: 'm1', text: 'x' }),
    ask('alice', { c: 'archived', m: 'm1', text: 'x' }),
    ask('bob', { c: 'staff', m: 'm1', text: 'x' }),
    reuseKey({ m: 'm1', text: 'three' }),
  ],
  delete: [
    ...byStrangers({ m: 'm1' }),
    ask('alice', { c: 'group', m: 'none' }),
    ask('bob', { c: 'direct', m: 'm2' }),
    reuseKey({ m: 'm1' }),
  ],
  react: [
    ...byStrangers({ m: 'm1', emoji: '👍', on: true }),
    ask('alice', { c: 'group', m: 'gone', emoji: '👍', on: true }),
    ask('alice', { c: 'group', m: 'm1', emoji: 'x', on: true }),
    ask('alice', { c: 'big', m: 'm1', emoji: emojis[64], on: true }),
    ask('dave', { c: 'big', m: 'm1', emoji: emojis[64], on: true }),
    ask('bob', { c: 'direct', m: 'm1', emoji: '👍', on: true }),
    ask('bob', { c: 'archived', m: 'm1', emoji: '👍', on: true }),
    reuseKey({ m: 'm1', emoji: '👍', on: true }),
  ],
  invite: [
    ...byStrangers({ user: 'erin' }),
    ask('bob', { c: 'direct', user: 'erin' }),
    ask('bob', { c: 'group', user: 'erin' }),
    ask('alice', { c: 'bans', user: 'dave' }),
    ask('alice', { c: 'group', user: 'sara' }),
    ask('alice', { c: 'guests', user: 'con3' }),
    ask('alice', { c: 'archived', user: 'con1' }),
    ask('bob', { c: 'pair', user: 'erin' }),
    reuseKey({ user: 'carol' }),
  ],
  accept: [...byStrangers({}), reuseKey({})],
  decline: [...byStrangers({}), reuseKey({})],
  remove: [
    ...byStrangers({ user: 'bob' }),
    ask('bob', { c: 'direct', user: 'carol' }),
    ask('bob', { c: 'group', user: 'carol' }),
    ask('alice', { c: 'group', user: 'alice' }),
    ask('bob', { c: 'pair', user: 'erin' }),
    reuseKey({ user: 'bob' }),
  ],
  ban: [
    ...byStrangers({ user: 'bob' }),
    ask('bob', { c: 'direct', user: 'carol' }),
    ask('bob', { c: 'group', user: 'carol' }),
    ask('alice', { c: 'group', user: 'alice' }),
    ask('alice', { c: 'group', user: 'carol', until: '2020-01-01T00:00:00.000Z' }),
    ask('alice', { c: 'bans', user: 'carol' }),
    ask('bob', { c: 'pair', user: 'erin' }),
    reuseKey({ user: 'bob' }),
  ],
  unban: [
    ...byStrangers({ user: 'bob' }),
    ask('bob', { c: 'direct', user: 'carol' }),
    ask('bob', { c: 'group', user: 'carol' }),
    ask('bob', { c: 'pair', user: 'erin' }),
    reuseKey({ user: 'bob' }),
  ],
  role: [
    ...byStrangers({ user: 'bob', role: 'admin' }),
    ask('bob', { c: 'direct', user: 'carol', role: 'admin' }),
    async type => {
      await alice.ok('role', { c: 'channel', user: 'bob', role: 'admin' })
      return await bob.request(type, { c: 'channel', user: 'alice', role: 'member' })
    },
    ask('alice', { c: 'bans', user: 'dave', role: 'admin' }),
    ask('alice', { c: 'group', user: 'erin', role: 'admin' }),
    ask('alice', { c: 'group', user: 'alice', role: 'admin' }),
    reuseKey({ user: 'bob', role: 'admin' }),
  ],
  join: [ask('dave', { c: 'group' }), ask('bob', { c: 'direct' }), ask('dave', { c: 'bans' }), reuseKey({})],
  leave: [...byStrangers({}), ask('bob', { c: 'direct' }), reuseKey({})],
  rename: [
    ...byStrangers({ title: 'x' }),
    ask('alice', { c: 'group', title: 'a\nb' }),
    ask('bob', { c: 'direct', title: 'x' }),
    ask('bob', { c: 'group', title: 'x' }),
    ask('bob', { c: 'pair', title: 'x' }),
    reuseKey({ title: 'x' }),
  ],
  settings: [
    ...byStrangers({ posting: 'staff' }),
    ...badData({ c: 'group' }),
    ask('bob', { c: 'direct', posting: 'staff' }),
    ask('bob', { c: 'group', posting: 'staff' }),
    ask('bob', { c: 'pair', posting: 'staff' }),
    reuseKey({ posting: 'staff' }),
  ],
  read: byStrangers({ seq: 1 }),
  delivered: byStrangers({ seq: 1 }),
  mute: byStrangers({ on: true }),
  hide: byStrangers({ on: true }),
  block: [ask('alice', { user: 'alice', on: true })],
  direct: [ask('alice', { user: 'alice' }), ask('bob', { user: 'carol' })],
  privacy: [],
  profile: badData({}),
  profiles: [],
  typing: [...byStrangers({ on: true }), ask('bob', { c: 'archived', on: true })],
  call: [
    ...byStrangers({ to: 'bob', call: 'x', kind: 'bye' }),
    ask('alice', { c: 'group', to: 'dave', call: 'x', kind: 'bye' }),
    ask('alice', { c: 'group', to: 'bob', call: 'x', kind: 'offer' }),
    ask('alice', { c: 'group', to: 'bob', call: 'x', kind: 'offer', data: tooLong }),
    ask('carol', { c: 'big', to: 'bob', call: 'x', kind: 'bye' }),
    ask('bob', { c: 'pair', to: 'carol', call: 'x', kind: 'bye' }),
    ask('alice', { c: 'archived', to: 'bob', call: 'x', kind: 'offer', data: 'x' }),
    askUntilRefused('bob', { c: 'group', to: 'alice', call: 'x', kind: 'bye' }),
  ],
  conversation: byStrangers({}),
  presence: [
    ...byStrangers({}),
    ask('alice', { users: users(Limits.lastSeenUsers + 1), lastSeen: true }),
    askHttp('alice', { state: 'away' }),
    ask('alice', { users: users(4) }),
  ],
  history: [
    ...byStrangers({}),
    ask('alice', { c: 'group', before: 2, after: 1 }),
    ask('alice', { c: 'group', around: 'm1', after: 1 }),
    ask('alice', { c: 'group', around: 'none' }),
  ],
  inbox: [ask('alice', bad), ask('alice', { seen: cursors(Limits.seen + 1) })],
  undelivered: [ask('alice', bad)],
  members: [...byStrangers({}), ask('alice', { c: 'group', ...bad })],
  invitations: [
    ...byStrangers({}),
    ask('bob', { c: 'direct' }),
    ask('bob', { c: 'group' }),
    ask('alice', { c: 'group', ...bad }),
  ],
  bans: [
    ...byStrangers({}),
    ask('bob', { c: 'direct' }),
    ask('bob', { c: 'group' }),
    ask('alice', { c: 'group', ...bad }),
  ],
  search: [
    ...byStrangers({ q: 'x' }),
    ask('alice', { q: ' ' }),
    ask('alice', { q: 'x', after: 'x' }),
    ask('alice', { q: 'x', before: 'x' }),
    ask('alice', { q: 'x', ...bad }),
    slowSearch,
  ],
  media: [
    ...byStrangers(file),
    ask('alice', { ...file, name: '../x' }),
    ask('alice', { ...file, type: 'PNG' }),
    ask('alice', { ...file, size: 0 }),
    ask('alice', { ...file, size: 1024 ** 4 }),
    ask('bob', { ...described(png('more')), mediaId: announced.mediaId }),
    ask('alice', { ...described(png('more')), name: 'b.png', mediaId: announced.mediaId }),
    null,
  ],
  sessions: [ask('alice', { end: 'none' }), null],
  sync: [
    ask('alice', { cursors: cursors(Limits.cursors + 1) }),
    askHttp('alice', { cursors: {} }),
    syncTwice,
  ],
  ping: [],
}

for (const [type, errors] of Object.entries(RequestErrors))
  t.test(`${type}: each documented error is what the server answers`, async t => {
    const causes = cases[type as RequestType]
    t.equal(causes.length, errors.length)
    for (const [index, { code, field, when }] of errors.entries()) {
      const cause = causes[index]
      if (cause == null) continue
      const { error } = await cause(type)
      t.same({ code: error?.code, field: error?.field }, { code, field }, when)
    }
  })

t.test('every code that a request may be answered with is one that clients may see', async t => {
  for (const { code } of [...CommonErrors, ...Object.values(RequestErrors).flat()])
    t.ok(code in ErrorRegistry, code)
})
