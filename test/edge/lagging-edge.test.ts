import t from 'tap'
import { startConfab } from '../harness/confab.ts'
import { HeldFeed } from '../harness/held-feed.ts'

let feed: HeldFeed | undefined
const ahead = await startConfab(t)
const behind = await startConfab(t, { nats: ahead.nats, wrapFeed: inner => (feed = new HeldFeed(inner)) })
const alice = await ahead.connect('alice')
const bob = await behind.connect('bob')

/** Requests that only a member may make and that bypass the command bus. */
const asMember: Readonly<Record<string, (c: string) => Record<string, unknown>>> = {
  history: c => ({ c }),
  members: c => ({ c }),
  search: c => ({ c, q: 'tea' }),
  typing: c => ({ c, on: true }),
  read: c => ({ c, seq: 1 }),
  delivered: c => ({ c, seq: 1 }),
  mute: c => ({ c, on: true }),
}

t.test('a user who was just invited on another node is admitted here', async t => {
  t.teardown(() => feed?.release())
  for (const [type, fields] of Object.entries(asMember)) {
    const c = `in-${type}`
    await alice.ok('create', { c, kind: 'group', members: [] })
    t.equal(await bob.code('history', { c }), 'NOT_FOUND', 'from now on its state is known here')
    feed?.hold()
    await alice.ok('invite', { c, user: 'bob' })
    t.equal(await bob.code(type, fields(c)), 'ok', type)
    feed?.release()
    t.match(await bob.event(c, 2), { type: 'member.joined', user: 'bob' })
  }
})

t.test('a client from a node that is ahead continues at its position', async t => {
  t.teardown(() => feed?.release())
  await alice.ok('create', { c: 'moving', kind: 'group', members: ['bob'] })
  await bob.event('moving', 1)
  await alice.ok('create', { c: 'new', kind: 'group', members: [] })
  t.equal(await bob.code('history', { c: 'new' }), 'NOT_FOUND')
  feed?.hold()
  await alice.ok('send', { c: 'moving', m: 'm1', text: 'seen there' })
  await alice.ok('invite', { c: 'new', user: 'bob' })
  const moved = await behind.connect('bob', { resume: { moving: 2, new: 1 } })
  const outcome = (c: string) =>
    moved.find(frame => (frame.t === 'synced' || frame.t === 'refetch') && frame.c === c)
  await alice.ok('send', { c: 'moving', m: 'm2', text: 'not seen yet' })
  const first = outcome('moving')
  feed?.release()
  t.match(await first, { t: 'synced' })
  t.match(await outcome('new'), { t: 'synced', seq: 2 })
  await moved.event('moving', 3)
  await moved.event('new', 2)
  await alice.ok('send', { c: 'moving', m: 'm3', text: 'live' })
  await moved.event('moving', 4)
  t.same(moved.seqs('moving'), [3, 4])
  t.same(moved.seqs('new'), [2])
})
