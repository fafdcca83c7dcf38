import type { Test } from 'tap'
import { fingerprintOf } from '../../src/events/index.ts'
import type { TimelineChange } from '../../src/projections/index.ts'
import { type OpenEmptyViews, second } from './open-views.ts'

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text))

const row = (
  c: string,
  seq: number,
  event: { type?: string; m?: string; text?: string } = {},
): TimelineChange => {
  const { type = 'message.posted', m, text = '' } = event
  const data = bytes(JSON.stringify({ type, c, seq, from: 'ann', at: second(seq), m, text }))
  return { c, seq, streamSeq: seq * 10, data, ...(m === undefined ? {} : { m }) }
}

/** The contract of TimelineStore, read through TimelineQueries. */
export const testTimelineStore = (t: Test, open: OpenEmptyViews): void => {
  t.test('events are read in order: after, before, or at the end', async t => {
    const { stores, views } = await open(t)
    await stores.timeline.apply([1, 2, 3, 4, 5].map(seq => row('c', seq)))
    await stores.timeline.apply([row('other', 1)])
    const seqs = async (range: { after?: number; before?: number; limit: number }, c = 'c') =>
      (await views.timeline.page(c, range)).map(({ seq }) => seq)
    t.same(await seqs({ limit: 10 }), [1, 2, 3, 4, 5])
    t.same(await seqs({ limit: 2 }), [4, 5])
    t.same(await seqs({ after: 2, limit: 2 }), [3, 4])
    t.same(await seqs({ after: 0, limit: 1 }), [1])
    t.same(await seqs({ after: 5, limit: 2 }), [])
    t.same(await seqs({ before: 4, limit: 2 }), [2, 3])
    t.same(await seqs({ before: 1, limit: 2 }), [])
    t.same(await seqs({ after: 1, before: 4, limit: 10 }), [2, 3])
    t.same(await seqs({ limit: 2 }, 'nowhere'), [])
    t.same(await views.timeline.head('c'), { seq: 5, streamSeq: 50 })
    t.equal(await views.timeline.head('nowhere'), undefined)
  })

  t.test('an event is stored byte for byte, whatever it contains', async t => {
    const { stores, views } = await open(t)
    const texts = ['\u0000\u0001\u001f', '東京 🎉', 'x'.repeat(16 * 1024), '']
    const changes = texts.map((text, i) => row('c', i + 1, { m: `m${i}`, text }))
    await stores.timeline.apply(changes)
    const page = await views.timeline.page('c', { limit: 10 })
    t.ok(page.every(({ data }, i) => Buffer.compare(data, changes[i]?.data ?? bytes('')) === 0))
  })

  t.test('a message is found by its id, with its deletion', async t => {
    const { stores, views } = await open(t)
    await stores.timeline.apply([row('c', 1, { m: 'a' }), row('c', 2, { m: 'b' }), row('d', 1, { m: 'a' })])
    await stores.timeline.apply([row('c', 3, { type: 'message.deleted', m: 'a' })])
    const { fingerprint, ...found } = (await views.timeline.findMessage('c', 'a'))!
    t.same(found, { m: 'a', seq: 1, from: 'ann', at: second(1), deleted: true })
    t.equal(typeof fingerprint, 'number')
    t.match(await views.timeline.findMessage('c', 'b'), {
      m: 'b',
      seq: 2,
      from: 'ann',
      at: second(2),
      deleted: false,
    })
    t.equal((await views.timeline.findMessage('d', 'a'))?.deleted, false)
    t.equal(await views.timeline.findMessage('d', 'b'), undefined)
  })

  t.test('an edit leaves the fingerprint of a message as it was', async t => {
    const { stores, views } = await open(t)
    const posted = row('c', 1, { m: 'a', text: 'first' })
    await stores.timeline.apply([posted, row('c', 2, { m: 'b', text: 'second' })])
    const fingerprint = async (m: string) => (await views.timeline.findMessage('c', m))?.fingerprint
    const before = await fingerprint('a')
    const { m: _, ...edited } = row('c', 3, { type: 'message.edited', m: 'a', text: 'second' })
    await stores.timeline.apply([edited])
    t.equal(await fingerprint('a'), before)
    t.equal(before, fingerprintOf(JSON.parse(Buffer.from(posted.data).toString())))
    t.not(await fingerprint('b'), before)
  })

  t.test('the first event at a seq wins', async t => {
    const { stores, views } = await open(t)
    const first = row('c', 1, { m: 'a', text: 'first' })
    await stores.timeline.apply([first, row('c', 2)])
    // Later in the stream, and greater byte by byte.
    const again = { ...row('c', 1, { m: 'a', text: 'zzz' }), streamSeq: 15 }
    await stores.timeline.apply([again, row('c', 2), row('c', 3)])
    const page = await views.timeline.page('c', { limit: 10 })
    t.same(
      page.map(({ seq }) => seq),
      [1, 2, 3],
    )
    t.equal(Buffer.compare(page[0]?.data ?? bytes(''), first.data), 0)
  })

  t.test('clear forgets everything', async t => {
    const { stores, views } = await open(t)
    await stores.timeline.apply([row('c', 1, { m: 'a' })])
    await stores.timeline.clear()
    t.equal(await views.timeline.head('c'), undefined)
    t.equal(await views.timeline.findMessage('c', 'a'), undefined)
    await stores.timeline.apply([row('c', 1, { m: 'a' })])
    t.equal((await views.timeline.head('c'))?.seq, 1)
  })
}
