import t from 'tap'
import { Requests } from '../../src/events/index.ts'
import type { Views } from '../../src/projections/index.ts'
import { startConfab } from '../harness/confab.ts'
import { causedByClients, recordSubjects } from '../harness/nats-requests.ts'

/** Reads of views, by method. */
const viewReads: string[] = []
const recording = <T extends object>(view: T, name: string): T =>
  new Proxy(view, {
    get: (target, key) => {
      const value = Reflect.get(target, key, target) as unknown
      if (typeof value !== 'function') return value
      return (...args: unknown[]) => {
        viewReads.push(`${name}.${String(key)}`)
        return value.apply(target, args)
      }
    },
  })
const wrapViews = (views: Views): Views => {
  const { timeline, inbox, roster, search } = views
  return Object.assign(Object.create(views), {
    timeline: recording(timeline, 'timeline'),
    inbox: recording(inbox, 'inbox'),
    roster: recording(roster, 'roster'),
    search: recording(search, 'search'),
    positions: views.positions.bind(views),
  }) as Views
}

const confab = await startConfab(t, { wrapViews })
const alice = await confab.connect('alice')
const stranger = await confab.connect('stranger')
const file = { name: 'a.txt', type: 'text/plain', size: 5, sha256: 'a'.repeat(64) }

/** Every request that names a conversation, as a member could send it. */
const naming: Readonly<Record<string, (c: string) => Record<string, unknown>>> = {
  send: c => ({ c, m: 'intruder', text: 'let me in' }),
  edit: c => ({ c, m: 'm1', text: 'changed' }),
  delete: c => ({ c, m: 'm1' }),
  react: c => ({ c, m: 'm1', emoji: '👀', on: true }),
  invite: c => ({ c, user: 'friend' }),
  accept: c => ({ c }),
  decline: c => ({ c }),
  invitations: c => ({ c }),
  remove: c => ({ c, user: 'bob' }),
  ban: c => ({ c, user: 'bob' }),
  unban: c => ({ c, user: 'bob' }),
  bans: c => ({ c }),
  role: c => ({ c, user: 'bob', role: 'admin' }),
  join: c => ({ c }),
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
  media: c => ({ c, ...file }),
}

t.test('this test covers every request that names a conversation', async t => {
  const named = Object.entries(Requests).filter(([t, { properties }]) => 'c' in properties && t !== 'create')
  t.same(new Set(Object.keys(naming)), new Set(named.map(([t]) => t)))
})

/** Returns the reads of a stranger's request: subjects without ids, and methods of views. */
const readsOf = async (type: string, fields: object): Promise<string[]> => {
  const recorded = recordSubjects(confab.connection)
  viewReads.length = 0
  t.equal(await stranger.code(type, { ...fields }), 'NOT_FOUND', type)
  recorded.stop()
  // The last token is an id, or the partition and the id.
  const subjects = causedByClients(recorded.subjects).map(subject =>
    subject.replace(/\.(conv|user)\..*$/, '.$1'),
  )
  return [...subjects, ...viewReads].sort()
}

let next = 0
const withAttachment = { mediaId: 'a'.repeat(64), ...file }
const cases = [
  ...Object.entries(naming),
  ['send', (c: string) => ({ c, m: 'intruder', text: 'a', attachments: [withAttachment] })] as const,
]

for (const kind of ['group', 'direct'] as const)
  t.test(`a ${kind} of others and an unknown conversation take the same reads`, async t => {
    for (const [type, fields] of cases) {
      const c = `there-${next++}`
      const other = `other-${next}`
      await confab.bus.execute(
        { id: '1', t: 'create', c, kind, members: [other] },
        { from: 'alice', at: new Date().toISOString() },
      )
      await alice.ok('send', { c, m: 'm1', text: 'a secret' })
      await alice.event(c, 2)
      await alice.ok('inbox')
      const warm = await readsOf(type, fields(c))
      await readsOf(type, fields(`nowhere-${next}`))
      t.same(warm, await readsOf(type, fields(`nowhere-${next}`)), `${type}, both in memory`)
      t.ok(warm.length > 0, `${type} reads`)
    }
  })

t.test('the same for conversations that no request has loaded', async t => {
  const created: string[] = []
  for (const [type] of cases) {
    const c = `cold-${type}-${next++}`
    created.push(c)
    await alice.ok('create', { c, kind: 'group', members: ['bob'] })
    await alice.ok('send', { c, m: 'm1', text: 'a secret' })
    await alice.event(c, 2)
  }
  // A second node, which has loaded none of them.
  const node = await startConfab(t, { nats: confab.nats, wrapViews })
  const socket = await node.connect('stranger')
  await socket.ok('inbox')
  const cold = async (type: string, fields: object): Promise<string[]> => {
    const recorded = recordSubjects(node.connection)
    viewReads.length = 0
    t.equal(await socket.code(type, { ...fields }), 'NOT_FOUND', type)
    recorded.stop()
    const subjects = causedByClients(recorded.subjects).map(subject =>
      subject.replace(/\.(conv|user)\..*$/, '.$1'),
    )
    return [...subjects, ...viewReads].sort()
  }
  // A node looks for the streams once.
  await cold('conversation', { c: 'anything' })
  for (const [i, [type, fields]] of cases.entries()) {
    const there = await cold(type, fields(created[i]!))
    t.same(there, await cold(type, fields(`absent-${next++}`)), `${type}: ${there.join(' ')}`)
  }
})
