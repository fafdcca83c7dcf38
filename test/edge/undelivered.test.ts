import t from 'tap'
import { startConfab } from '../harness/confab.ts'

const confab = await startConfab(t)
const alice = await confab.connect('alice')
await alice.ok('create', { c: 'tea', kind: 'group', members: ['bob'] })
for (const n of [1, 2, 3]) await alice.ok('send', { c: 'tea', m: `m${n}`, text: `${n}` })
await alice.ok('create', { c: 'secret', kind: 'group', members: ['cyd'] })
await alice.ok('send', { c: 'secret', m: 's1', text: 'not for bob' })

const idsOf = (answer: Record<string, unknown>) => (answer.messages as { m: string }[]).map(({ m }) => m)

t.test('messages wait for an offline user until a device has them', async t => {
  const bob = await confab.connect('bob')
  const waiting = await bob.ok('undelivered')
  t.same(idsOf(waiting), ['m1', 'm2', 'm3'])
  const [first] = waiting.messages as { at: string; expires: string; seq: number }[]
  t.match(first, { c: 'tea', from: 'alice', seq: 2 })
  t.equal(Date.parse(first?.expires ?? '') - Date.parse(first?.at ?? ''), 30 * 24 * 3_600_000)
  await bob.ok('delivered', { c: 'tea', seq: 3 })
  t.same(idsOf(await bob.ok('undelivered')), ['m3'])
  await alice.ok('send', { c: 'tea', m: 'm4', text: '4' })
  await bob.event('tea', 5)
  t.same(idsOf(await bob.ok('undelivered', { limit: 1 })), ['m3'])
  const { cursor } = await bob.ok('undelivered', { limit: 1 })
  t.same(idsOf(await bob.ok('undelivered', { limit: 1, cursor })), ['m4'])
  await bob.ok('send', { c: 'tea', m: 'b1', text: 'to send is to have read' })
  t.same(idsOf(await bob.ok('undelivered')), [])
})

t.test('not for a removed user, even while the view lags', async t => {
  const bob = await confab.connect('bob')
  await alice.ok('send', { c: 'tea', m: 'm5', text: '5' })
  await bob.event('tea', 7)
  t.same(idsOf(await bob.ok('undelivered')), ['m5'])
  confab.pause()
  t.teardown(() => confab.resume())
  await alice.ok('remove', { c: 'tea', user: 'bob' })
  await bob.event('tea', 8)
  t.same(idsOf(await bob.ok('undelivered')), [])
})

t.test('messages older than the configured age no longer wait', async t => {
  const brief = await startConfab(t, { nats: confab.nats, limits: { undeliveredMs: 1 } })
  const cyd = await brief.connect('cyd')
  t.same(idsOf(await cyd.ok('undelivered')), [])
  t.same(idsOf(await (await confab.connect('cyd')).ok('undelivered')), ['s1'])
})

t.test('over HTTP', async t => {
  const get = async (query: string) =>
    fetch(`${confab.url}/v1/undelivered${query}`, {
      headers: { authorization: `Bearer ${await confab.token('cyd')}` },
    })
  t.same(idsOf((await (await get('')).json()) as Record<string, unknown>), ['s1'])
  t.equal((await get('?limit=0')).status, 400)
  t.equal((await fetch(`${confab.url}/v1/undelivered`)).status, 401)
})
