import t from 'tap'
import { parseIrcLine, parseReplyLinks, timesOfDay } from '../../src/cli/import/irc-lines.ts'
import {
  conversationOfChannel,
  itemsOfDay,
  messageOfLine,
  userOfNick,
} from '../../src/cli/import/irc-source.ts'
import { isId } from '../../src/events/index.ts'

t.test('parses lines of an IRC log', async t => {
  const cases: [line: string, parsed: ReturnType<typeof parseIrcLine>][] = [
    ['[09:14] <ann> hello <b> there', { kind: 'message', nick: 'ann', text: 'hello <b> there', minute: 554 }],
    [
      '[09:14] <ann>   two more spaces ',
      { kind: 'message', nick: 'ann', text: '  two more spaces ', minute: 554 },
    ],
    ['[09:14] <ann>', { kind: 'message', nick: 'ann', text: '', minute: 554 }],
    ['[00:00] <[x] y> hi', { kind: 'message', nick: '[x]y', text: 'hi', minute: 0 }],
    ['[00:01] -bot:#room- notice', { kind: 'message', nick: 'bot', text: 'notice', minute: 1 }],
    ['[00:01] (ann/#room) aside', { kind: 'message', nick: 'ann', text: 'aside', minute: 1 }],
    ['[23:59]  * ann waves', { kind: 'action', nick: 'ann', text: 'waves', minute: 1439 }],
    ['=== ann waves at bob', { kind: 'action', nick: 'ann', text: 'waves at bob' }],
    ['=== ann [~a@host]  has joined #room', { kind: 'join', nick: 'ann' }],
    ['=== [x]  [n=[x] y@host]  has joined #Room', { kind: 'join', nick: '[x]' }],
    ['=== [x] y [n=a@host]  has left #room ["bye"]', { kind: 'part', nick: '[x]y' }],
    ['=== ann has left the building', { kind: 'action', nick: 'ann', text: 'has left the building' }],
    ['=== ann was kicked off #room by bob (rude)', { kind: 'kick', nick: 'ann' }],
    ['=== ann is now known as ann|away', { kind: 'nick', nick: 'ann', to: 'ann|away' }],
    ['=== mode/#room [+o ann]  by bob', { kind: 'other' }],
    ['=== Topic for #room: tea at four', { kind: 'other' }],
    ['=== Topic (#room): set by bob at Mon Dec  4 07:27:08 2006', { kind: 'other' }],
    ['=== Starting logfile irclogs/room.log', { kind: 'other' }],
    ['=== ..[topic/#room:bob] : Welcome', { kind: 'other' }],
    ['=== netjoined: a.example -> b.example', { kind: 'other' }],
    ['[09:14] something else', { kind: 'other', minute: 554 }],
    ['no line of a log', { kind: 'other' }],
    ['', { kind: 'other' }],
  ]
  for (const [line, parsed] of cases) t.same(parseIrcLine(line), parsed, line)
})

t.test('times never decrease', async t => {
  const of = (...minutes: (number | undefined)[]) =>
    timesOfDay('2006-01-02', minutes).map(ms => new Date(ms).toISOString().slice(0, 16))
  t.same(of(10, 20), ['2006-01-02T00:10', '2006-01-02T00:20'])
  t.same(
    of(undefined, 20, undefined, 21),
    ['2006-01-02T00:20', '2006-01-02T00:20', '2006-01-02T00:20', '2006-01-02T00:21'],
    'a line without a time has the time of the line before, the first line that of the line after',
  )
  t.same(of(1439, 0, 5), ['2006-01-02T23:59', '2006-01-03T00:00', '2006-01-03T00:05'], 'over midnight')
  t.same(
    of(719, 0, 700),
    ['2006-01-02T11:59', '2006-01-02T12:00', '2006-01-02T23:40'],
    'a clock of 0 to 11 hours',
  )
  t.same(of(779, 60), ['2006-01-02T12:59', '2006-01-02T13:00'], 'a clock of 1 to 12 hours')
  t.same(
    of(100, 98, 101),
    ['2006-01-02T01:40', '2006-01-02T01:40', '2006-01-02T01:41'],
    'a clock that was set back by minutes',
  )
  t.same(of(undefined), ['2006-01-02T00:00'])
})

t.test('parses reply links', async t => {
  const messages = new Set([1, 2, 3, 5, 6])
  const links = parseReplyLinks('1 1 -\n1 3 -\n2 3 -\n4 5 -\n6 5 - \nno numbers\n', line =>
    messages.has(line),
  )
  t.same(
    [...links],
    [
      [3, 2],
      [6, 5],
    ],
    'the nearest earlier message, never itself, never a line that is not a message',
  )
})

t.test('ids of nicks, channels and lines are valid and unique', async t => {
  t.equal(userOfNick('ann_-9'), 'ann_-9')
  t.equal(conversationOfChannel('#ubuntu'), 'ubuntu')
  t.equal(messageOfLine('2004-12-25.train-c', 7), 'irc-2004-12-25-train-c-000007')
  const nicks = ['a|b', 'a`b', 'a^b', 'a[b', 'a_b', 'é', 'x'.repeat(65), 'x'.repeat(66), '|', '`']
  const users = nicks.map(userOfNick)
  for (const user of users) t.ok(isId(user), user)
  t.equal(new Set(users).size, nicks.length, 'different nicks are different users')
  t.ok(isId(messageOfLine('x'.repeat(200), 123456)))
})

t.test('a day becomes joins, messages and leaves', async t => {
  const log = [
    '=== ann [~a@host]  has joined #room',
    '[10:00] <ann> hi',
    '[10:01] <b|b> hello',
    '=== b|b is now known as bb',
    '=== bb nods',
    '=== ann [~a@host]  has left #room []',
    '',
  ].join('\n')
  const items = itemsOfDay({ stem: '2004-12-25.x', date: '2004-12-25' }, '#room', log, '1 2 -\n2 4 -\n')
  const at = (minute: string) => `2004-12-25T${minute}:00.000Z`
  const bb = userOfNick('b|b')
  const m = (line: number) => `irc-2004-12-25-x-00000${line}`
  t.same(items, [
    { kind: 'join', c: 'room', user: 'ann', at: at('10:00'), line: 1 },
    { kind: 'message', c: 'room', m: m(1), user: 'ann', at: at('10:00'), text: 'hi', line: 2 },
    { kind: 'message', c: 'room', m: m(2), user: bb, at: at('10:01'), text: 'hello', line: 3, replyTo: m(1) },
    { kind: 'leave', c: 'room', user: bb, at: at('10:01'), line: 4 },
    { kind: 'join', c: 'room', user: 'bb', at: at('10:01'), line: 4 },
    {
      kind: 'message',
      c: 'room',
      m: m(4),
      user: 'bb',
      at: at('10:01'),
      text: '/me nods',
      line: 5,
      replyTo: m(2),
    },
    { kind: 'leave', c: 'room', user: 'ann', at: at('10:01'), line: 6 },
  ])
})
