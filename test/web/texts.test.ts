import fc from 'fast-check'
import t from 'tap'
import type { ConfabClient } from '../../src/client/index.ts'
import type { ConversationEvent, InboxItem } from '../../src/events/index.ts'
import { highlighterOf } from '../../src/projections/index.ts'
import { formatBriefly, formatDay, formatNames, hueOf, initialsOf } from '../../src/web/format.ts'
import { highlightPieces, linkPieces } from '../../src/web/highlight.ts'
import { applyToInbox, type Inbox, markInbox, sorted, takePage, unreadTotal } from '../../src/web/inbox.ts'
import { ReadMarks } from '../../src/web/read-marks.ts'

t.test('a highlight becomes plain text with marks', async t => {
  t.same(highlightPieces('a &lt;b&gt; <mark>tea &amp; &quot;milk&quot;</mark>, it&#39;s'), [
    { text: 'a <b> ', marked: false },
    { text: 'tea & "milk"', marked: true },
    { text: ", it's", marked: false },
  ])
  t.same(highlightPieces('&amp;lt;'), [{ text: '&lt;', marked: false }], 'unescaped once, not twice')
})

t.test('property: for any text, its highlight shows that text', async () => {
  const awkward = fc.string({
    unit: fc.constantFrom('<', '>', '&', ';', '"', "'", 'a', 'm', 'mark', '/', ' ', 'lt'),
  })
  fc.assert(
    fc.property(
      awkward,
      text =>
        highlightPieces(highlighterOf([])(text))
          .map(piece => piece.text)
          .join('') === text,
    ),
  )
})

t.test('links: http and https only, without trailing punctuation', async t => {
  t.same(linkPieces('see https://a.example/x?y=1, or (http://b.example).'), [
    { text: 'see ' },
    { text: 'https://a.example/x?y=1', href: 'https://a.example/x?y=1' },
    { text: ', or (' },
    { text: 'http://b.example', href: 'http://b.example' },
    { text: ').' },
  ])
  t.same(linkPieces('javascript:alert(1)'), [{ text: 'javascript:alert(1)' }])
  fc.assert(
    fc.property(
      fc.string(),
      text =>
        linkPieces(text)
          .map(piece => piece.text)
          .join('') === text,
    ),
  )
})

t.test('names, initials, hues, days', async t => {
  t.equal(formatNames(['a']), 'a')
  t.equal(formatNames(['a', 'b', 'c']), 'a, b and c')
  t.equal(formatNames(['a', 'b', 'c', 'd', 'e']), 'a, b and 3 others')
  t.same(['alice', 'frank-o', 'Weekend in the hills'].map(initialsOf), ['A', 'FO', 'WH'])
  t.equal(hueOf('alice'), hueOf('alice'))
  const now = new Date(2026, 10, 24, 12)
  const days = (ago: number) => new Date(2026, 10, 24 - ago, 9).toISOString()
  t.same(
    [0, 1].map(ago => formatDay(days(ago), now)),
    ['Today', 'Yesterday'],
  )
  t.equal(formatBriefly(days(1), now), 'Yesterday')
})

const item = (c: string, more: Partial<InboxItem> = {}): InboxItem => ({
  c,
  kind: 'group',
  title: c,
  head: 4,
  lastMessage: null,
  unread: 0,
  read: 4,
  at: '2026-11-24T08:00:00.000Z',
  muted: false,
  ...more,
})
const posted = (c: string, seq: number, from: string, at: string): ConversationEvent => ({
  t: 'event',
  c,
  seq,
  type: 'message.posted',
  m: `m${seq}`,
  n: seq,
  from,
  at,
  text: 'text',
})

t.test('the list, fetched again while the user reads: an older answer reverts nothing', async t => {
  const inbox: Inbox = new Map([
    ['a', item('a')],
    ['gone', item('gone')],
  ])
  applyToInbox(inbox, posted('a', 5, 'bob', '2026-11-24T10:00:00.000Z'), 'alice')
  const asked = { ...inbox.get('a')! }
  const requests: ((fields: object) => void)[] = []
  const client = { request: () => new Promise(resolve => requests.push(resolve)) } as unknown as ConfabClient
  new ReadMarks(client, inbox, () => {}).seen('a', 5, 0)
  t.match(inbox.get('a'), { unread: 0, read: 5 }, 'it is read at once')
  takePage(inbox, [{ ...asked, title: 'renamed' }], true)
  t.match(inbox.get('a'), { unread: 0, read: 5, title: 'renamed' })
  t.notOk(inbox.has('gone'), 'the first page begins the list anew')
  requests[0]!({ seq: 5 })
  await new Promise(setImmediate)
  t.match(inbox.get('a'), { unread: 0, read: 5 }, 'nor does the answer to the marker')
  takePage(inbox, [{ ...asked, head: 4, unread: 9, read: 5 }], false)
  t.match(inbox.get('a'), { head: 5, unread: 0 }, 'nor one from before the last event')
  takePage(inbox, [{ ...asked, head: 6, unread: 2, read: 4 }], false)
  t.match(inbox.get('a'), { head: 5, unread: 0, read: 5 }, 'a later event counts by itself')
  takePage(inbox, [{ ...asked, head: 6, unread: 1, read: 5 }], false)
  t.match(inbox.get('a'), { head: 6, unread: 1, read: 5 })
})

t.test('the list: unread, order, and when it has to be fetched again', async t => {
  const inbox: Inbox = new Map([
    ['a', item('a')],
    ['b', item('b', { at: '2026-11-24T09:00:00.000Z' })],
    ['quiet', item('quiet', { muted: true, unread: 5 })],
  ])
  t.equal(applyToInbox(inbox, posted('a', 5, 'bob', '2026-11-24T10:00:00.000Z'), 'alice'), true)
  t.match(inbox.get('a'), { unread: 1, head: 5, lastMessage: { m: 'm5' } })
  t.equal(applyToInbox(inbox, posted('a', 5, 'bob', '2026-11-24T10:00:00.000Z'), 'alice'), true)
  t.equal(inbox.get('a')?.unread, 1, 'an event already in the list is not counted twice')
  t.equal(sorted(inbox)[0]?.c, 'a')
  t.equal(unreadTotal(inbox), 1, 'muted conversations do not count')

  for (const seq of [5, 6]) applyToInbox(inbox, posted('b', seq, 'bob', '2026-11-24T09:30:00.000Z'), 'alice')
  const withdrawn = {
    t: 'event',
    c: 'b',
    type: 'message.deleted',
    from: 'bob',
    at: '2026-11-24T09:31:00.000Z',
  } as const
  applyToInbox(inbox, { ...withdrawn, seq: 7, m: 'm5', messageSeq: 5 }, 'alice')
  t.match(inbox.get('b'), { unread: 1, head: 7 }, 'an unread message was deleted')
  applyToInbox(inbox, { ...withdrawn, seq: 8, m: 'm2', messageSeq: 2 }, 'alice')
  t.match(inbox.get('b'), { unread: 1, head: 8 }, 'a read message was deleted')

  markInbox(inbox, { c: 'a', read: 5, unread: 0 })
  markInbox(inbox, { c: 'a', read: 4, unread: 1 })
  t.match(inbox.get('a'), { read: 5, unread: 0 }, 'markers do not move back')

  const at = '2026-11-24T11:00:00.000Z'
  const deleted = { t: 'event', c: 'a', seq: 6, type: 'message.deleted', m: 'm5', from: 'bob', at } as const
  t.equal(
    applyToInbox(inbox, deleted, 'alice'),
    false,
    'the last message was deleted: the previous one is unknown',
  )
  t.equal(applyToInbox(inbox, posted('new', 1, 'bob', at), 'alice'), false)
  applyToInbox(
    inbox,
    { t: 'event', c: 'a', seq: 7, type: 'member.left', user: 'alice', from: 'bob', at },
    'alice',
  )
  t.equal(inbox.has('a'), false)
})
