import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { openLastSeenBucket } from '../../src/infra/nats/index.ts'
import { startConfab } from '../harness/confab.ts'
import type { RawClient } from '../harness/raw-client.ts'

const here = await startConfab(t)
const there = await startConfab(t, { nats: here.nats })
const alice = await here.connect('alice')

const lastSeen = async (client: RawClient, ...users: string[]) =>
  (await client.ok('presence', { users, lastSeen: true })).lastSeen as Record<string, string>

/** The answer to a `presence` of a user about itself. Asked over HTTP, which makes no user online. */
const ownPresence = async (user: string) => {
  const answer = await fetch(`${here.url}/v1/commands`, {
    method: 'POST',
    headers: { authorization: `Bearer ${await here.token(user)}` },
    body: JSON.stringify({ id: '1', t: 'presence', users: [user], lastSeen: true }),
  })
  return (await answer.json()) as { states: Record<string, string>; lastSeen: Record<string, string> }
}

/** Users always see their own time. */
const ownLastSeen = async (user: string): Promise<string | undefined> =>
  (await ownPresence(user)).lastSeen[user]

/** Connects, acts, disconnects, and waits until both were observed. */
const visit = async (user: string, what: (client: RawClient) => Promise<unknown> = async () => {}) => {
  const client = await there.connect(user)
  const seen = async (state: string) => {
    while ((await ownPresence(user)).states[user] !== state) await sleep(20)
  }
  await what(client)
  await seen('online')
  client.close()
  await seen('offline')
}

const written = async (user: string): Promise<string> => {
  for (;;) {
    const at = await ownLastSeen(user)
    if (at !== undefined) return at
    await sleep(20)
  }
}

t.test('visible to contacts, unless the user chooses `everybody` or `nobody`', async t => {
  await visit('bob', bob => bob.ok('create', { c: 'tea', kind: 'group', members: ['alice'] }))
  const at = await written('bob')
  t.match(at, /^\d{4}-\d\d-\d\dT.*Z$/)
  t.ok(Date.parse(at) <= Date.now())
  t.same(await lastSeen(alice, 'bob'), { bob: at })
  const stranger = await here.connect('stranger')
  t.same(await lastSeen(stranger, 'bob', 'nobody-at-all'), {})
  await visit('bob', async bob => {
    t.match(await bob.ok('privacy'), { lastSeen: 'contacts' })
    t.match(await bob.ok('privacy', { lastSeen: 'everybody' }), { lastSeen: 'everybody' })
  })
  while (!('bob' in (await lastSeen(stranger, 'bob')))) await sleep(20)
  await visit('bob', bob => bob.ok('privacy', { lastSeen: 'nobody' }))
  for (;;) {
    const told = await lastSeen(stranger, 'bob')
    if (!('bob' in told)) break
    await sleep(20)
  }
  t.same(await lastSeen(alice, 'bob'), {})
  t.ok(await ownLastSeen('bob'), 'the user itself is')
  t.equal(await alice.code('privacy', { lastSeen: 'friends' }), 'BAD_REQUEST')
})

t.test('a time is returned for offline users, on request', async t => {
  const carol = await there.connect('carol')
  await carol.ok('create', { c: 'milk', kind: 'direct', members: ['alice'] })
  while (
    ((await alice.ok('presence', { users: ['carol'] })).states as Record<string, string>).carol !== 'online'
  )
    await sleep(20)
  t.same(await lastSeen(alice, 'carol'), {})
  carol.close()
  await written('carol')
  t.ok((await lastSeen(alice, 'carol')).carol)
  t.notOk('lastSeen' in (await alice.ok('presence', { users: ['carol'] })))
  t.equal(
    await alice.code('presence', { users: Array.from({ length: 51 }, (_, n) => `u${n}`), lastSeen: true }),
    'BAD_REQUEST',
  )
})

t.test(
  'a user does not become a contact unilaterally: not in a channel, not by adding the user to a group',
  async t => {
    const mallory = await here.connect('mallory')
    await visit('dave', dave => dave.ok('create', { c: 'open', kind: 'channel', title: 'Open', members: [] }))
    await written('dave')
    await mallory.ok('join', { c: 'open' })
    await mallory.ok('create', { c: 'trap', kind: 'group', members: ['dave'] })
    await mallory.ok('create', { c: 'trap-of-two', kind: 'direct', members: ['dave'] })
    await mallory.ok('role', { c: 'trap', user: 'dave', role: 'owner' })
    await mallory.ok('send', { c: 'trap', m: 'm1', text: 'hello' })
    // The views that suggest conversations follow the log.
    for (let n = 0; n < 30; n++) {
      t.same(await lastSeen(mallory, 'dave'), {})
      await sleep(20)
    }
    // Reading what was sent counts as contact.
    await visit('dave', async dave => {
      await dave.ok('read', { c: 'trap', seq: 2 })
    })
    while (!('dave' in (await lastSeen(mallory, 'dave')))) await sleep(20)
    await visit('dave', dave => dave.ok('block', { user: 'mallory', on: true }))
    while ('dave' in (await lastSeen(mallory, 'dave'))) await sleep(20)
    await visit('dave', async dave => {
      await dave.ok('block', { user: 'mallory', on: false })
    })
    while (!('dave' in (await lastSeen(mallory, 'dave')))) await sleep(20)
    await visit('dave', dave => dave.ok('leave', { c: 'trap' }))
    while ('dave' in (await lastSeen(mallory, 'dave'))) await sleep(20)
    t.pass('who has left is a stranger again')
  },
)

t.test('times in the bucket only move forward, whichever node writes, and expire', async t => {
  const keepMs = 60_000
  const [one, other] = await Promise.all([
    openLastSeenBucket(here.connection, { keepMs }),
    openLastSeenBucket(there.connection, { keepMs }),
  ])
  const now = Math.floor(Date.now() / 1000) * 1000
  const users = Array.from({ length: 300 }, (_, n) => `many-${n}`).concat('constructor', '__proto__')
  const at = (ms: number) => new Map(users.map(user => [user, ms]))
  // The same keys at the same time: each has to see the other's write.
  await Promise.all([one.note(at(now - 3_000)), other.note(at(now - 1_000)), one.note(at(now - 2_000))])
  t.same(await one.of(users), at(now - 1_000))
  await other.note(new Map([['many-1', now - 30_000]]))
  t.same(await other.of(['many-1', 'unknown']), new Map([['many-1', now - 1_000]]))
  // A node whose clock was ahead has written a time in the future.
  await one.note(new Map([['ahead', now + 7_200_000]]))
  const shown = (await other.of(['ahead'])).get('ahead')!
  t.ok(shown <= Date.now(), new Date(shown).toISOString())
  await other.note(new Map([['ahead', now - 1_000]]))
  t.same(await one.of(['ahead']), new Map([['ahead', now - 1_000]]))
  await one.note(new Map([['old', now - 2 * keepMs]]))
  t.same(await one.of(['old']), new Map())
})
