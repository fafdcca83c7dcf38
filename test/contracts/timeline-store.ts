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

  t.test('the last edit or deletion of each message is found, whatever is repeated', async t => {
    const { stores, views } = await open(t)
    const edit = (seq: number, m: string, messageSeq?: number, changesData = false): TimelineChange => {
      const { m: _, ...change } = row('c', seq, { type: 'message.edited', m, text: `text ${seq}` })
      return { ...change, amendment: { m, messageSeq, isDeletion: false, changesData } }
    }
    const deletion = (seq: number, m: string, messageSeq?: number): TimelineChange => ({
      ...row('c', seq, { type: 'message.deleted', m }),
      amendment: { m, messageSeq, isDeletion: true, changesData: false },
    })
    const changes = [
      ...['a', 'b', 'd', 'e'].map((m, i) => row('c', i + 1, { m })),
      edit(5, 'a', 1, true),
      edit(6, 'a', 1),
      edit(7, 'b', 2),
      deletion(8, 'b', 2),
      // As older versions wrote them; the last one is of a dead letter.
      edit(9, 'd', undefined, true),
      deletion(10, 'e'),
      edit(11, 'gone'),
    ]
    const check = async (upTo: number) => {
      const found = await views.timeline.amendments('c', 1, upTo)
      t.same(
        found.map(({ data, ...rest }) => ({
          ...rest,
          text: data && JSON.parse(Buffer.from(data).toString()).text,
        })),
        [
          { messageSeq: 1, seq: 6, dataSeq: 5, text: 'text 6' },
          { messageSeq: 2, seq: 8, dataSeq: 0, text: undefined },
          { messageSeq: 3, seq: 9, dataSeq: 9, text: 'text 9' },
          { messageSeq: 4, seq: 10, dataSeq: 0, text: undefined },
        ].slice(0, upTo),
      )
    }
    await stores.timeline.apply(changes)
    await check(4)
    await check(2)
    for (const change of changes) await stores.timeline.apply([change])
    for (const change of [...changes].reverse()) await stores.timeline.apply([change])
    await stores.timeline.apply(changes.slice(4, 7))
    await check(4)
    t.same(await views.timeline.amendments('c', 5, 2_005), [])
    t.same(await views.timeline.amendments('other', 1, 9), [])
    const rows: string[] = []
    for await (const batch of stores.timeline.rows()) rows.push(...batch.map(({ content }) => content))
    t.equal(rows.filter(content => content.startsWith('timeline_amendment')).length, 4)
    await stores.timeline.clear()
    t.same(await views.timeline.amendments('c', 1, 9), [])
  })

  t.test('an old deletion in a batch of its own finds its message', async t => {
    const { stores, views } = await open(t)
    await stores.timeline.apply([row('c', 1, { m: 'a' })])
    const amendment = { m: 'a', messageSeq: undefined, isDeletion: true, changesData: false }
    await stores.timeline.apply([{ ...row('c', 2, { type: 'message.deleted', m: 'a' }), amendment }])
    t.match(await views.timeline.amendments('c', 1, 1), [{ messageSeq: 1, seq: 2 }])
  })

  t.test('the messages with a file are found', async t => {
    const { stores, views } = await open(t)
    await stores.timeline.apply([
      { ...row('c', 1, { m: 'a' }), media: ['x', 'y'] },
      { ...row('c', 2, { m: 'b' }), media: ['x'] },
      { ...row('d', 1, { m: 'a' }), media: ['x'] },
    ])
    t.same([...(await views.timeline.messagesWith('c', 'x'))].sort(), [1, 2])
    t.same(await views.timeline.messagesWith('c', 'y'), [1])
    t.same(await views.timeline.messagesWith('c', 'z'), [])
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
