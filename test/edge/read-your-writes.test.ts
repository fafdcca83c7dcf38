import t from 'tap'
import { startConfab } from '../harness/confab.ts'
import { HeldFeed } from '../harness/held-feed.ts'

let feed: HeldFeed | undefined
const ahead = await startConfab(t)
const behind = await startConfab(t, {
  nats: ahead.nats,
  wrapFeed: inner => (feed = new HeldFeed(inner)),
  limits: { seenWaitMs: 300, viewWaitMs: 20 },
})
const alice = await ahead.connect('alice')
const elsewhere = await behind.connect('alice')

t.test('history extends to the seq that another node answered', async t => {
  await alice.ok('create', { c: 'tea', kind: 'group', members: [] })
  await elsewhere.event('tea', 1)
  feed?.hold()
  t.teardown(() => feed?.release())
  const { seq } = await alice.ok('send', { c: 'tea', m: 'm1', text: 'there' })
  const page = await elsewhere.ok('history', { c: 'tea', seen: seq })
  t.equal(page.head, seq)
  t.equal((page.events as { m?: string }[]).at(-1)?.m, 'm1')
  t.equal((await elsewhere.ok('history', { c: 'tea', seen: 999 })).head, seq, 'not beyond the head')
})

t.test('an inbox waits until it shows what was seen, up to a bound', async t => {
  await alice.ok('create', { c: 'milk', kind: 'group', members: [] })
  behind.pause('inbox')
  const { seq } = await alice.ok('send', { c: 'milk', m: 'm1', text: 'there' })
  const lagging = await elsewhere.ok('inbox', { seen: { milk: seq } })
  t.equal(lagging.behind, true)
  const waiting = elsewhere.ok('inbox', { seen: { milk: seq } })
  behind.resume('inbox')
  const page = await waiting
  t.notOk('behind' in page)
  t.match(
    (page.items as { c: string }[]).find(({ c }) => c === 'milk'),
    { head: seq, lastMessage: { m: 'm1' } },
  )
  t.notOk('behind' in (await elsewhere.ok('inbox', { seen: {} })))
})

t.test('a conversation of others looks like one that lags', async t => {
  const bob = await ahead.connect('bob')
  const { seq } = await bob.ok('create', { c: 'secret', kind: 'group', members: [] })
  for (const c of ['secret', 'nowhere'])
    t.equal((await elsewhere.ok('inbox', { seen: { [c]: seq } })).behind, true, c)
})

t.test('an invalid position is refused', async t => {
  const many = Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`c${i}`, 1]))
  for (const seen of [many, { 'no id!': 1 }, { c: -1 }, { c: 'x' }, 'c:1', []])
    t.equal(await elsewhere.code('inbox', { seen }), 'BAD_REQUEST', JSON.stringify(seen).slice(0, 40))
  t.equal(await elsewhere.code('history', { c: 'tea', seen: -1 }), 'BAD_REQUEST')
  const get = async (path: string) => {
    const headers = { authorization: `Bearer ${await behind.token('alice')}` }
    const answer = await fetch(`${behind.url}${path}`, { headers })
    return [answer.status, (await answer.json()) as Record<string, unknown>] as const
  }
  t.equal((await get('/v1/inbox?seen=tea:1,milk:2'))[0], 200)
  t.match(await get('/v1/inbox?seen=secret:1'), [200, { behind: true }])
  t.equal((await get('/v1/inbox?seen=tea'))[0], 400)
  t.equal((await get('/v1/conversations/tea/events?seen=1'))[0], 200)
})
