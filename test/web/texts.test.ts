import fc from 'fast-check'
import type { ComponentChild } from 'preact'
import t from 'tap'
import type { ConfabClient } from '../../src/client/index.ts'
import type { ConversationEvent, InboxItem } from '../../src/events/index.ts'
import { highlighterOf } from '../../src/projections/index.ts'
import { formatBriefly, formatDay, formatNames, hueOf, initialsOf, summaryOf } from '../../src/web/format.ts'
import { highlightPieces } from '../../src/web/highlight.ts'
import {
  applyToInbox,
  filtered,
  type Inbox,
  markInbox,
  sorted,
  takePage,
  unreadTotal,
} from '../../src/web/inbox.ts'
import { renderMarkdown } from '../../src/web/markdown.ts'
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

/** Elements that `renderMarkdown` made, as markup without escapes, for reading in a test. */
const markup = (child: ComponentChild): string => {
  if (Array.isArray(child)) return child.map(markup).join('')
  if (typeof child !== 'object' || child === null) return String(child)
  const { type, props } = child as { type: string; props: { href?: string; children?: ComponentChild } }
  const href = props.href === undefined ? '' : ` ${props.href}`
  return `<${type}${href}>${markup(props.children ?? '')}</${type}>`
}
const rendered = (text: string): string => markup(renderMarkdown(text))

t.test('Markdown: emphasis, code, quotes, lists, links', async t => {
  const cases: [text: string, expected: string][] = [
    ['plain', 'plain'],
    ['two\nlines', 'two\nlines'],
    ['**b** *i* ~~s~~ `c*d*`', '<strong>b</strong> <em>i</em> <s>s</s> <code>c*d*</code>'],
    ['a\n\nb', '<p>a</p><p>b</p>'],
    ['> q\n> r', '<blockquote><p>q\nr</p></blockquote>'],
    ['- a\n- b', '<ul><li>a</li><li>b</li></ul>'],
    ['3. c', '<ol><li>c</li></ol>'],
    ['```js\nlet x = "<b>"\n```', '<pre><code>let x = "<b>"</code></pre>'],
    ['[name](https://a.example/x)', '<a https://a.example/x>name</a>'],
    ['snake_case_name 2*3*4', 'snake_case_name 2<em>3</em>4'],
    ['# no heading', '# no heading'],
    ['![no](https://a.example/x.png)', '!<a https://a.example/x.png>no</a>'],
    ['&amp; &lt;', '&amp; &lt;'],
    ['---', '---'],
    ['> ', '> '],
    ['```', '```'],
  ]
  for (const [text, expected] of cases) t.equal(rendered(text), expected, text)
})

t.test('links: http, https and mailto only; without the punctuation of the sentence', async t => {
  t.equal(
    rendered('see https://a.example/x?y=1, or (http://b.example).'),
    'see <a https://a.example/x?y=1>https://a.example/x?y=1</a>, or (<a http://b.example>http://b.example</a>).',
  )
  t.equal(rendered('https://a.example/x_(y)'), '<a https://a.example/x_(y)>https://a.example/x_(y)</a>')
  t.equal(rendered('https://a.example/_x_*y*'), '<a https://a.example/_x_*y*>https://a.example/_x_*y*</a>')
  for (const text of [
    'javascript:alert(1)',
    '[x](javascript:alert(1))',
    '[x](JaVaScRiPt:alert(1))',
    '[x](data:text/html,hi)',
    '[x](vbscript:x)',
    '[x](//evil.example)',
    '<javascript:alert(1)>',
    'xhttp://a.example',
    'http://[',
  ])
    t.notMatch(rendered(text), '<a', text)
})

t.test('property: any text is shown without loss, as known elements with safe links', async () => {
  const sign = fc.constantFrom(
    ...'*_~`[]()<>!#-+.>\\|"\'&:/ \n1axש',
    'http://a.b',
    'javascript:',
    '<b>',
    '```\n',
  )
  const walk = (child: ComponentChild): boolean => {
    if (Array.isArray(child)) return child.every(walk)
    if (typeof child !== 'object' || child === null) return true
    const { type, props } = child as { type: string; props: { href?: string; children?: ComponentChild } }
    const known = ['a', 'blockquote', 'code', 'em', 'li', 'ol', 'p', 'pre', 's', 'strong', 'ul'].includes(
      type,
    )
    const isSafe = props.href === undefined ? type !== 'a' : /^(https?|mailto):/i.test(props.href)
    return known && isSafe && !('dangerouslySetInnerHTML' in props) && walk(props.children ?? '')
  }
  const letters = (text: string): string => text.replace(/[^axש]/g, '')
  const shown = (child: ComponentChild): string => {
    if (Array.isArray(child)) return child.map(shown).join('')
    if (typeof child !== 'object' || child === null) return String(child)
    const { type, props } = child as { type: string; props: { href?: string; children?: ComponentChild } }
    const text = shown(props.children ?? '')
    return type === 'a' && props.href !== text ? `${text}${props.href}` : text
  }
  fc.assert(
    fc.property(fc.array(sign, { maxLength: 40 }), parts => {
      const text = parts.join('')
      const content = renderMarkdown(text)
      return walk(content) && (text.includes('```') || letters(shown(content)) === letters(text))
    }),
  )
})

t.test('texts that make patterns slow are rendered whole', async t => {
  const long = 16_000
  const texts = [
    `http://a${'!'.repeat(long)}x`,
    `http://a${')'.repeat(long)}x`,
    'http://'.repeat(long / 7),
    'http://['.repeat(long / 8),
    ...[
      '*',
      '_',
      '~',
      '`',
      '[',
      '![',
      '<',
      '>',
      '(',
      '\\',
      '- ',
      '**a ',
      '*a_',
      '`a``',
      '[a](',
      '<http:',
      '1. ',
    ].map(part => part.repeat(long / part.length)),
  ]
  for (const text of texts) t.ok(rendered(text).length > 0, text.slice(0, 20))
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

t.test(
  'the list: a ban of the user, archiving, and events of conversations that are not in the list',
  async t => {
    const inbox: Inbox = new Map([
      ['a', item('a')],
      ['b', item('b')],
    ])
    const event = { t: 'event', c: 'a', from: 'bob', at: '2026-11-24T10:00:00.000Z' } as const
    const settings = {
      ...event,
      type: 'conversation.settings_changed',
      posting: 'everybody',
      slowModeSeconds: 0,
    } as const
    applyToInbox(inbox, { ...settings, seq: 5, archived: true }, 'alice')
    t.match(inbox.get('a'), { archived: true, head: 5 })
    applyToInbox(inbox, { ...settings, seq: 6 }, 'alice')
    t.match(inbox.get('a'), { archived: true, head: 6 })
    applyToInbox(inbox, { ...settings, seq: 7, archived: false }, 'alice')
    t.notOk('archived' in (inbox.get('a') ?? {}))
    applyToInbox(inbox, { ...event, seq: 8, type: 'member.banned', user: 'carol' }, 'alice')
    t.ok(inbox.has('a'))
    applyToInbox(inbox, { ...event, seq: 9, type: 'member.banned', user: 'alice' }, 'alice')
    t.notOk(inbox.has('a'))
    const hidden = { ...event, c: 'hidden', seq: 9 }
    t.equal(applyToInbox(inbox, { ...hidden, type: 'reaction.added', m: 'm1', emoji: '👍' }, 'alice'), true)
    t.equal(
      applyToInbox(inbox, posted('hidden', 10, 'bob', event.at), 'alice'),
      false,
      'a message fetches it',
    )
  },
)

t.test('the list: only messages and the own arrival move a conversation', async t => {
  const inbox: Inbox = new Map([
    ['a', item('a', { at: '2026-11-24T09:00:00.000Z' })],
    ['b', item('b', { at: '2026-11-24T08:00:00.000Z' })],
  ])
  const at = '2026-11-24T10:00:00.000Z'
  const event = { t: 'event', c: 'b', from: 'bob', at } as const
  applyToInbox(inbox, { ...event, seq: 5, type: 'reaction.added', m: 'm1', emoji: '👍' }, 'alice')
  applyToInbox(inbox, { ...event, seq: 6, type: 'message.edited', m: 'm1', text: 'x' }, 'alice')
  applyToInbox(inbox, { ...event, seq: 7, type: 'member.joined', user: 'carol', role: 'member' }, 'alice')
  applyToInbox(inbox, { ...event, seq: 8, type: 'conversation.renamed', title: 'B' }, 'alice')
  t.same(
    sorted(inbox).map(({ c }) => c),
    ['a', 'b'],
  )
  applyToInbox(inbox, { ...event, seq: 9, type: 'member.joined', user: 'alice', role: 'member' }, 'alice')
  t.equal(sorted(inbox)[0]?.c, 'b', 'the own arrival')
  applyToInbox(inbox, posted('a', 5, 'bob', '2026-11-24T11:00:00.000Z'), 'alice')
  t.equal(sorted(inbox)[0]?.c, 'a')
})

t.test('the filter: all words of the name, without case and accents', async t => {
  const items = [
    item('a', { title: 'Café Zürich' }),
    item('b', { title: 'Zoo' }),
    item('c', { title: 'ﬁsh שָׁלוֹם' }),
  ]
  const found = (query: string) => filtered(items, query).map(({ c }) => c)
  t.same(found('zurich cafe'), ['a'])
  t.same(found('Z'), ['a', 'b'])
  t.same(found('fish'), ['c'])
  t.same(found('שלום'), ['c'])
  t.same(found('x'), [])
  t.same(found(' '), ['a', 'b', 'c'])
})

t.test('a message of files alone has a summary', async t => {
  const file = { mediaId: 'x', name: 'a.png', type: 'image/png', size: 1, sha256: '' }
  t.equal(summaryOf({ text: 'hello', attachments: [file] }), 'hello')
  t.equal(summaryOf({ text: '', attachments: [file] }), '📎 a.png')
  t.equal(summaryOf({ text: '', attachments: [file, file] }), '📎 2 files')
  t.equal(summaryOf({ text: '' }), '📎 File')
})

/** CPU time of a job, ms: the least of several runs. */
const cpuMs = (job: () => unknown): number => {
  let least = Number.POSITIVE_INFINITY
  for (let run = 0; run < 5; run++) {
    const before = process.threadCpuUsage()
    job()
    const { user, system } = process.threadCpuUsage(before)
    least = Math.min(least, (user + system) / 1000)
  }
  return least
}

t.test('no message keeps the page of its readers waiting', async t => {
  const repeated = (piece: string) => (length: number) =>
    piece.repeat(Math.ceil(length / piece.length)).slice(0, length)
  const pieces = [
    ...[
      '*',
      '_',
      '~',
      '`',
      '[',
      ']',
      '(',
      '<',
      '>',
      '!',
      '\\',
      '&',
      '\n',
      ' ',
      'a',
      '://',
      'http://',
      'https://(',
    ],
    ...[
      '**a',
      'a**',
      '*_',
      '~~a',
      '[a](',
      '[a](b "',
      '[a](<',
      '![',
      '<a:',
      '<http://a',
      '`a``',
      '```\n',
      '- a\n',
    ],
    ...[
      '1) a\n',
      '> a\n',
      '> - ',
      '[x]: y\n',
      '[`',
      '*[',
      '[*',
      'http://a)',
      'http://a ',
      'http:// ',
      '\\\n',
    ],
  ]
  const shapes: readonly (readonly [name: string, make: (length: number) => string])[] = [
    ['a link and signs', length => `http://a${'!'.repeat(length)}x`],
    ['brackets', length => '['.repeat(length / 2) + '](a)'.repeat(length / 8)],
    ['parentheses', length => `[a](${'('.repeat(length / 2)}${')'.repeat(length / 2)}`],
    ['emphasis', length => '**a _'.repeat(length / 10) + '_ b**'.repeat(length / 10)],
    ...pieces.map(piece => [JSON.stringify(piece), repeated(piece)] as const),
  ]
  // The longest time of ordinary Markdown of the largest size. The work of a quadratic pattern is forty times as much.
  const ordinary = (): number => cpuMs(() => renderMarkdown('- a\n'.repeat(4_000)))
  let most = ordinary()
  for (const [name, make] of shapes) {
    const text = make(16_000)
    let least = Number.POSITIVE_INFINITY
    for (let attempt = 0; attempt < 4 && least > 4 * most; attempt++) {
      if (attempt > 0) most = Math.max(most, ordinary())
      least = Math.min(
        least,
        cpuMs(() => renderMarkdown(text)),
      )
    }
    t.ok(least <= 4 * most, `${name}: ${(least / most).toFixed(1)} times as long as a list`)
  }
})
