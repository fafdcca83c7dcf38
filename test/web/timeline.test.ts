import fc from 'fast-check'
import t from 'tap'
import type { ConversationEvent } from '../../src/events/index.ts'
import { toRows } from '../../src/web/rows.ts'
import { Timeline } from '../../src/web/timeline.ts'

type Fields<E> = E extends unknown ? Omit<E, 't' | 'c' | 'seq' | 'at'> & { at?: string } : never

/** Events numbered from 1, a minute apart. */
const numbered = (...events: Fields<ConversationEvent>[]): ConversationEvent[] =>
  events.map(
    (event, i) =>
      ({
        t: 'event',
        c: 'c',
        seq: i + 1,
        at: new Date(Date.UTC(2026, 10, 24, 8, i)).toISOString(),
        ...event,
      }) as ConversationEvent,
  )

const posted = (m: string, from: string, more: { replyTo?: string; at?: string } = {}) =>
  ({ type: 'message.posted', m, from, n: 1, text: `text of ${m}`, ...more }) as const

t.test('edits, deletions and reactions change their messages', async t => {
  const timeline = new Timeline()
  timeline.append(
    numbered(
      posted('a', 'alice'),
      posted('b', 'bob'),
      { type: 'message.edited', m: 'a', from: 'alice', text: 'better' },
      { type: 'reaction.added', m: 'a', from: 'bob', emoji: '👍' },
      { type: 'reaction.added', m: 'a', from: 'carol', emoji: '👍' },
      { type: 'reaction.added', m: 'a', from: 'bob', emoji: '👍' },
      { type: 'reaction.removed', m: 'a', from: 'carol', emoji: '👍' },
      { type: 'message.deleted', m: 'b', from: 'bob' },
      { type: 'reaction.added', m: 'b', from: 'bob', emoji: '👍' },
      { type: 'message.edited', m: 'b', from: 'bob', text: 'back again' },
    ),
  )
  t.match(timeline.entries, [
    { m: 'a', text: 'better', edited: true, reactions: [{ emoji: '👍', users: ['bob'] }] },
    { m: 'b', text: '', deleted: true, reactions: [] },
  ])
})

t.test('a gap is detected, known events are skipped', async t => {
  const timeline = new Timeline()
  const events = numbered(posted('a', 'x'), posted('b', 'x'), posted('c', 'x'), posted('d', 'x'))
  t.equal(timeline.append(events.slice(0, 2)), true)
  t.equal(timeline.append(events.slice(0, 3)), true)
  t.equal(timeline.entries.length, 3)
  const other = new Timeline()
  other.append(events.slice(0, 1))
  t.equal(other.append(events.slice(2)), false)
  t.equal(other.last, 1)
})

t.test('property: the result does not depend on the order of loading', async () => {
  const message = fc.constantFrom('m1', 'm2', 'm3', 'm4')
  const user = fc.constantFrom('alice', 'bob')
  const change = fc.oneof(
    fc.record({ type: fc.constant('message.edited' as const), m: message, from: user, text: fc.string() }),
    fc.record({ type: fc.constant('message.deleted' as const), m: message, from: user }),
    fc.record({
      type: fc.constantFrom('reaction.added' as const, 'reaction.removed' as const),
      m: message,
      from: user,
      emoji: fc.constantFrom('👍', '🎉'),
    }),
    fc.record({ type: fc.constant('conversation.renamed' as const), from: user, title: fc.string() }),
  )
  const cuts = fc.array(fc.nat({ max: 40 }), { maxLength: 5 })
  fc.assert(
    fc.property(fc.array(change, { maxLength: 30 }), cuts, fc.nat({ max: 40 }), (changes, olderCuts, at) => {
      const events = numbered(
        posted('m1', 'alice'),
        ...changes.slice(0, 5),
        posted('m2', 'bob'),
        ...changes.slice(5, 10),
        posted('m3', 'bob'),
        posted('m4', 'alice'),
        ...changes.slice(10),
      )
      const whole = new Timeline()
      whole.append(events)
      const start = Math.min(at, events.length - 1)
      const pieces = new Timeline()
      pieces.replace(events.slice(start, start + 1))
      for (const event of events.slice(start + 1)) pieces.append([event])
      for (const cut of [...olderCuts, 0].sort((a, b) => b - a))
        if (cut < pieces.first - 1) pieces.prepend(events.slice(cut, pieces.first - 1))
      return JSON.stringify(pieces.entries) === JSON.stringify(whole.entries)
    }),
  )
})

t.test('rows: days, authors, and the unread line', async t => {
  const timeline = new Timeline()
  timeline.append(
    numbered(
      posted('a', 'alice', { at: '2026-11-23T08:00:00.000Z' }),
      posted('b', 'alice', { at: '2026-11-23T08:01:00.000Z' }),
      posted('c', 'alice', { at: '2026-11-23T08:30:00.000Z' }),
      posted('d', 'bob', { at: '2026-11-23T08:31:00.000Z', replyTo: 'a' }),
      posted('e', 'alice', { at: '2026-11-25T08:00:00.000Z' }),
      posted('f', 'bob', { at: '2026-11-25T08:01:00.000Z' }),
      posted('g', 'bob', { at: '2026-11-25T08:02:00.000Z' }),
    ),
  )
  const rows = toRows(timeline.entries, { me: 'alice', unreadAfter: 4 })
  t.same(
    rows.map(row => (row.kind === 'message' ? `${row.message.m}${row.lead ? ' leads' : ''}` : row.kind)),
    ['day', 'a leads', 'b', 'c leads', 'd leads', 'day', 'e leads', 'unread', 'f leads', 'g'],
    'own messages are never unread',
  )
  t.equal(new Set(rows.map(row => row.key)).size, rows.length)
})

t.test('a message that the server returns with its current content is edited or deleted', async t => {
  const timeline = new Timeline()
  timeline.append(
    numbered(
      { ...posted('a', 'alice'), text: 'better', editedAt: '2026-11-24T09:00:00.000Z' },
      { type: 'message.posted', m: 'b', from: 'bob', n: 2, text: '', deleted: true },
      { type: 'message.edited', m: 'a', from: 'alice', messageSeq: 1, text: 'better' },
      { type: 'message.edited', m: 'b', from: 'bob', messageSeq: 2, text: '', deleted: true },
    ),
  )
  t.match(timeline.entries, [
    { m: 'a', text: 'better', edited: true, deleted: false },
    { m: 'b', text: '', attachments: [], deleted: true },
  ])
})
