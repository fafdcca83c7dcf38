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

t.test('few requests wait for what was seen; others are answered at once', async t => {
  const bounded = await startConfab(t, {
    nats: ahead.nats,
    limits: { seenWaitMs: 60_000, seenWaits: 3, userSeenWaits: 2, drainMs: 0 },
  })
  const seen = { nowhere: 1 }
  const waiting = async (user: string, count: number): Promise<number> => {
    let left = count
    const client = await bounded.connect(user, { patienceMs: 120_000 })
    for (let i = 0; i < count; i++)
      void client.ok('inbox', { seen }).then(
        ({ behind }) => {
          if (behind === true) left--
        },
        () => {},
      )
    // Requests that do not wait are answered before a later one that waits for nothing.
    await client.ok('inbox')
    await client.ok('inbox')
    return left
  }
  t.equal(await waiting('ann', 5), 2, 'of one user')
  t.equal(await waiting('ben', 5), 1, 'of the node')
  t.equal(await waiting('cyd', 5), 0)
})

t.test('positions in a query string are read in linear time', async t => {
  const get = async (seen: string): Promise<number> => {
    const headers = { authorization: `Bearer ${await behind.token('alice')}` }
    const answer = await fetch(`${behind.url}/v1/inbox?seen=${seen}`, { headers })
    return answer.status
  }
  for (const seen of ['a'.repeat(3_500), 'a:'.repeat(1_700), ',', 'tea:1,,milk:2', 'tea:', ':1', 'tea:1:2'])
    t.equal(await get(seen), 400, seen.slice(0, 20))
  for (const seen of ['', 'tea:1', 'tea:1,', 'tea:1,milk:2']) t.equal(await get(seen), 200, seen)
})
