import fc from 'fast-check'
import t from 'tap'
import { fittingAround } from '../../src/edge/requests/pages.ts'
import { Limits } from '../../src/events/index.ts'
import type { TimelineEntry } from '../../src/projections/index.ts'
import { startConfab } from '../harness/confab.ts'
import type { Fields, RawClient } from '../harness/raw-client.ts'

const confab = await startConfab(t)
const alice = await confab.connect('alice')
const bob = await confab.connect('bob')
const eve = await confab.connect('eve')

await alice.ok('create', { c: 'tea', kind: 'group', members: ['bob'] })
for (let n = 2; n <= 20; n++) await alice.ok('send', { c: 'tea', m: `m${n}`, text: `${n}` })
await alice.ok('create', { c: 'milk', kind: 'group', members: ['bob'] })
await alice.ok('send', { c: 'milk', m: 'only', text: 'milk' })

const errorOf = async (client: RawClient, fields: Fields) => (await client.request('history', fields)).error

const around = async (m: string, limit: number) => {
  const { events, head, more, moreAfter } = await bob.ok('history', { c: 'tea', around: m, limit })
  return { seqs: (events as { seq: number }[]).map(({ seq }) => seq), head, more, moreAfter }
}

t.test('a page around a message has the events on both sides', async t => {
  t.same(await around('m10', 5), { seqs: [8, 9, 10, 11, 12], head: 20, more: true, moreAfter: true })
  t.same(await around('m10', 4), { seqs: [8, 9, 10, 11], head: 20, more: true, moreAfter: true })
  t.same(await around('m10', 1), { seqs: [10], head: 20, more: true, moreAfter: true })
  t.same((await around('m2', 5)).seqs, [1, 2, 3, 4, 5])
  t.match(await around('m2', 5), { more: false, moreAfter: true })
  t.same(await around('m20', 5), { seqs: [18, 19, 20], head: 20, more: true, moreAfter: false })
  t.same((await around('m10', 200)).seqs.length, 20)
  t.match(await around('m10', 200), { more: false, moreAfter: false })
})

t.test('over HTTP', async t => {
  const answer = await fetch(`${confab.url}/v1/conversations/tea/events?around=m10&limit=3`, {
    headers: { authorization: `Bearer ${await confab.token('bob')}` },
  })
  t.equal(answer.status, 200)
  t.match(await answer.json(), {
    events: [{ seq: 9 }, { seq: 10 }, { seq: 11 }],
    more: true,
    moreAfter: true,
  })
})

t.test('unknown messages, and strangers', async t => {
  t.match(await errorOf(bob, { c: 'tea', around: 'm99' }), { code: 'NOT_FOUND', field: '/around' })
  t.match(
    await errorOf(bob, { c: 'tea', around: 'only' }),
    { code: 'NOT_FOUND', field: '/around' },
    'a message of another conversation',
  )
  const none = await errorOf(eve, { c: 'nowhere', around: 'm10' })
  t.same(await errorOf(eve, { c: 'tea', around: 'm10' }), none, 'a stranger learns nothing')
  t.equal(await bob.code('history', { c: 'tea', around: 'no id' }), 'BAD_REQUEST')
})

t.test('a deleted message keeps its place', async t => {
  await alice.ok('delete', { c: 'tea', m: 'm10' })
  t.same((await around('m10', 3)).seqs, [9, 10, 11])
})

t.test('long messages shorten the page on both sides, and the message stays in it', async t => {
  await alice.ok('create', { c: 'long', kind: 'group', members: [] })
  for (let n = 2; n <= 12; n++) await alice.ok('send', { c: 'long', m: `m${n}`, text: 'x'.repeat(15_000) })
  const { events, more, moreAfter } = await alice.ok('history', { c: 'long', around: 'm7', limit: 11 })
  const seqs = (events as { seq: number }[]).map(({ seq }) => seq)
  t.ok(seqs.includes(7) && seqs.length < 6, seqs.join())
  t.same([more, moreAfter], [true, true])
})

t.test('a page that fits contains the message, has no gap, and fills the frame', async () => {
  const sizes = fc.array(fc.oneof(fc.integer({ min: 50, max: 300 }), fc.integer({ min: 1, max: 70_000 })), {
    minLength: 1,
    maxLength: 40,
  })
  fc.assert(
    fc.property(sizes, fc.nat(), (sizes, pick) => {
      const entries = sizes.map((size, n) => ({ seq: n + 3, streamSeq: n + 3, data: new Uint8Array(size) }))
      const seq = 3 + (pick % sizes.length)
      const fitting = fittingAround(entries, seq)
      const bytes = (some: readonly TimelineEntry[]) =>
        some.reduce((sum, { data }) => sum + data.length + 1, 0)
      const first = fitting[0]!.seq
      const last = fitting.at(-1)!.seq
      if (first > seq || last < seq || last - first + 1 !== fitting.length) return false
      if (fitting.length > 1 && bytes(fitting) > Limits.frameBytes) return false
      // Neither neighbour fits as well.
      return [first - 1, last + 1].every(other => {
        const entry = entries.find(one => one.seq === other)
        return entry === undefined || bytes([...fitting, entry]) > Limits.frameBytes - 512
      })
    }),
  )
})
