import fc from 'fast-check'
import t from 'tap'
import { Sequencer } from '../../src/client/sequencer.ts'
import type { ConversationEvent } from '../../src/events/index.ts'

const message = (seq: number, c = 'c'): ConversationEvent => ({
  t: 'event',
  c,
  seq,
  type: 'message.posted',
  from: 'bob',
  at: '2026-11-24T02:30:43.123Z',
  m: `m${seq}`,
  n: seq,
  text: String(seq),
})

const left = (seq: number, user: string): ConversationEvent => ({
  t: 'event',
  c: 'c',
  seq,
  type: 'member.left',
  from: user,
  at: '2026-11-24T02:30:43.123Z',
  user,
})

const banned = (seq: number, user: string): ConversationEvent => ({
  t: 'event',
  c: 'c',
  seq,
  type: 'member.banned',
  from: 'bob',
  at: '2026-11-24T02:30:43.123Z',
  user,
})

const start = (options: { resume?: Record<string, number>; gapMs?: number; heldLimit?: number } = {}) => {
  const delivered: number[] = []
  const asked: Record<string, number>[] = []
  const sequencer = new Sequencer(
    {
      gapMs: options.gapMs ?? 60_000,
      ...(options.heldLimit === undefined ? {} : { heldLimit: options.heldLimit }),
      deliver: event => void delivered.push(event.seq),
      sync: cursors => void asked.push(cursors),
      user: () => 'alice',
    },
    options.resume,
  )
  return { sequencer, delivered, asked }
}

t.test('the first event of an unknown conversation is the starting point', async t => {
  const { sequencer, delivered } = start()
  sequencer.accept(message(7))
  sequencer.accept(message(6))
  sequencer.accept(message(8))
  t.same(delivered, [7, 8])
  t.same(sequencer.cursors(), { c: 8 })
  sequencer.stop()
})

t.test('later events are held until the gap is filled; known events are dropped', async t => {
  const { sequencer, delivered } = start({ resume: { c: 1 } })
  for (const seq of [4, 3, 1, 4]) sequencer.accept(message(seq))
  t.same(delivered, [])
  sequencer.accept(message(2))
  t.same(delivered, [2, 3, 4])
  sequencer.stop()
})

t.test('a gap that stays open is requested repeatedly', async t => {
  const asked = Promise.withResolvers<void>()
  const cursors: Record<string, number>[] = []
  const sequencer = new Sequencer(
    {
      gapMs: 1,
      deliver: () => {},
      sync: c => {
        cursors.push(c)
        if (cursors.length === 3) asked.resolve()
      },
      user: () => 'alice',
    },
    { c: 4 },
  )
  sequencer.accept(message(6))
  await asked.promise
  t.same(cursors.slice(0, 3), [{ c: 4 }, { c: 4 }, { c: 4 }])
  t.equal(sequencer.synced('c', 6), false, 'not caught up while 5 is missing')
  sequencer.accept(message(5))
  t.equal(sequencer.synced('c', 6), true)
  sequencer.stop()
})

t.test(
  'after a refetch nothing is delivered until there is a cursor, and nothing received meanwhile is lost',
  async t => {
    const { sequencer, delivered } = start({ resume: { c: 10 } })
    sequencer.refetch('c', 'epoch')
    for (const seq of [6, 7, 8]) sequencer.accept(message(seq))
    t.same(delivered, [])
    t.same(sequencer.cursors(), {}, 'not resumed from')
    sequencer.setCursor('c', 6)
    t.same(delivered, [7, 8])
    sequencer.setCursor('c', 3)
    t.same(sequencer.cursors(), { c: 8 }, 'otherwise a cursor never moves back')
    sequencer.stop()
  },
)

t.test('leaving, or a ban, ends a conversation; a new membership starts it again', async t => {
  for (const out of [left, banned]) {
    const { sequencer, delivered } = start({ resume: { c: 1 } })
    sequencer.accept(out(2, 'bob'))
    sequencer.accept(out(3, 'alice'))
    t.same(sequencer.cursors(), {})
    sequencer.accept(message(3))
    sequencer.accept(message(9))
    sequencer.accept(message(10))
    t.same(delivered, [2, 3, 9, 10])
    sequencer.stop()
  }
})

t.test('a new follower of a channel has the cursor of its synced, also the second time', async t => {
  const { sequencer, delivered } = start()
  t.equal(sequencer.synced('c', 5), true)
  t.same(sequencer.cursors(), { c: 5 })
  sequencer.refetch('c', 'not_member')
  t.same(sequencer.cursors(), {})
  t.equal(sequencer.synced('c', 9), true)
  t.same(sequencer.cursors(), { c: 9 })
  sequencer.accept(message(8))
  sequencer.accept(message(10))
  t.same(delivered, [10])
  sequencer.stop()
})

t.test('held events are bounded over all conversations', async t => {
  const { sequencer, delivered } = start({ resume: { c: 0, d: 0 }, heldLimit: 3 })
  for (const seq of [2, 3, 4, 5]) sequencer.accept(message(seq))
  sequencer.accept(message(2, 'd'))
  sequencer.accept(message(1))
  t.same(delivered, [1, 2, 3, 4], 'the fifth was dropped')
  t.equal(sequencer.synced('c', 5), false, 'and is known to be missing')
  sequencer.stop()
})

t.test(
  'property: whatever is lost, duplicated, reordered or cut, each event is delivered once and in order',
  async () => {
    /**
     * One fault of the transport: it reorders and duplicates a window of the server's events, loses some of them, or
     * reconnects.
     */
    const step = fc.record({
      grow: fc.integer({ min: 0, max: 6 }),
      order: fc.array(fc.integer({ min: -5, max: 5 }), { maxLength: 12 }),
      reconnect: fc.boolean(),
      cursor: fc.boolean(),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), steps => {
        const { sequencer, delivered } = start({ resume: { c: 0 }, heldLimit: 8 })
        let head = 0
        for (const { grow, order, reconnect, cursor } of steps) {
          head += grow
          for (const offset of order) {
            const seq = head + offset
            if (seq >= 1 && seq <= head) sequencer.accept(message(seq))
          }
          if (cursor) sequencer.setCursor('c', 0)
          if (!reconnect) continue
          for (let seq = (sequencer.cursors().c ?? 0) + 1; seq <= head; seq++) sequencer.accept(message(seq))
          sequencer.synced('c', head)
        }
        for (let seq = (sequencer.cursors().c ?? 0) + 1; seq <= head; seq++) sequencer.accept(message(seq))
        sequencer.stop()
        return delivered.length === head && delivered.every((seq, i) => seq === i + 1)
      }),
    )
  },
)
