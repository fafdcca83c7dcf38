import t from 'tap'
import { type IrcLine, parseIrcLine, parseReplyLinks } from '../../src/cli/import/irc-lines.ts'
import { conversationOfChannel, messageOfLine, readLog, userOfNick } from '../../src/cli/import/irc-source.ts'
import { isId } from '../../src/events/index.ts'

const minutes = (minute: number) => ({ clock: minute * 60_000 })

t.test('parses lines of the archive of #ubuntu', async t => {
  const time = minutes(554)
  const cases: [line: string, parsed: IrcLine][] = [
    ['[09:14] <ann> hello <b> there', { kind: 'message', nick: 'ann', text: 'hello <b> there', time }],
    ['[09:14] <ann>   two more spaces ', { kind: 'message', nick: 'ann', text: '  two more spaces ', time }],
    ['[09:14] <ann>', { kind: 'message', nick: 'ann', text: '', time }],
    ['[00:00] <[x] y> hi', { kind: 'message', nick: '[x]y', text: 'hi', time: minutes(0) }],
    ['[00:01] -bot:#room- notice', { kind: 'message', nick: 'bot', text: 'notice', time: minutes(1) }],
    ['[00:01] (ann/#room) aside', { kind: 'message', nick: 'ann', text: 'aside', time: minutes(1) }],
    ['[23:59]  * ann waves', { kind: 'action', nick: 'ann', text: 'waves', time: minutes(1439) }],
    ['=== ann waves at bob', { kind: 'action', nick: 'ann', text: 'waves at bob' }],
    ['=== ann [~a@host]  has joined #room', { kind: 'join', nick: 'ann' }],
    ['=== [x]  [n=[x] y@host]  has joined #Room', { kind: 'join', nick: '[x]' }],
    ['=== [x] y [n=a@host]  has left #room ["bye"]', { kind: 'leave', nick: '[x]y' }],
    ['=== ann has left the building', { kind: 'action', nick: 'ann', text: 'has left the building' }],
    ['=== ann was kicked off #room by bob (rude)', { kind: 'leave', nick: 'ann' }],
    ['=== ann is now known as ann|away', { kind: 'nick', nick: 'ann', to: 'ann|away' }],
    ['=== mode/#room [+o ann]  by bob', { kind: 'other' }],
    ['=== Topic for #room: tea at four', { kind: 'other' }],
    ['=== Topic (#room): set by bob at Mon Dec  4 07:27:08 2006', { kind: 'other' }],
    ['=== Starting logfile irclogs/room.log', { kind: 'other' }],
    ['=== ..[topic/#room:bob] : Welcome', { kind: 'other' }],
    ['=== netjoined: a.example -> b.example', { kind: 'other' }],
    ['', { kind: 'other' }],
    ['  ', { kind: 'other' }],
  ]
  for (const [line, parsed] of cases) t.same(parseIrcLine(line), parsed, line)
})

t.test('parses lines of irssi, WeeChat, ZNC, HexChat and energymech', async t => {
  const time = { clock: 36_001_000 }
  const day = Date.UTC(2021, 2, 4)
  const una = (text: string, more: object = { time }) => ({ kind: 'message', nick: 'una', text, ...more })
  const cases: [line: string, parsed: object][] = [
    ['10:01 < una> x', una('x', { time: minutes(601) })],
    ['10:01 <@una> x', una('x', { time: minutes(601) })],
    ['10:01 <una:#room> x', una('x', { time: minutes(601) })],
    ['9:01 <una> x', una('x', { time: minutes(541) })],
    ['[10:00:01] <una> x', una('x')],
    ['10:00:01 -una(~u@host.example)- x', una('x')],
    ['[2021-03-04 10:00:01] <una> x', una('x', { time: { ...time, day } })],
    ['2021-03-04T12:00:01.0+02:00 <una> x', una('x', { time: { ...time, day } })],
    ['2021-03-03T22:00:01-1200\tuna\tx', una('x', { time: { ...time, day } })],
    ['2021-03-04 10:00:01\t@una\ta\tb', una('a\tb', { time: { ...time, day } })],
    ['2021-03-04 10:00:01.123456Z\tuna\tx', una('x', { time: { clock: 36_001_123, day } })],
    ['Mar 04 10:00:01 <una>\tx', una('x', { time: { ...time, day: { month: 2, date: 4 } } })],
    ['Mar  4 2021 10:00:01 <una>\tx', una('x', { time: { ...time, day } })],
    ['[10:00:01] \x02<\x0304,1una\x0f>\x1d x\x1f\x11\x16\x1e\x04ff00ff', una('x')],
    ['[10:00:01] <una> \x03,5 and \x03123,4', una(',5 and 3,4')],
    ['[10:00:01] *** una was kicked by bob (rude)', { kind: 'leave', nick: 'una', time }],
    ['[10:00:01] *** bob sets mode: +o una', { kind: 'other', time }],
    ['[10:00:01] Disconnected from IRC (irc.example.org +6697)', { kind: 'other', time }],
    ['10:00:01 [Users #room]', { kind: 'other', time }],
    ['10:00:01 [@una  ] [ bob  ]', { kind: 'other', time }],
    ['10:00:01 -!- Irssi: Join to #room was synced in 1 secs', { kind: 'other', time }],
    ['10:00:01 -!- una [~u@h] has quit [x] has joined #room]', { kind: 'leave', nick: 'una', time }],
    ['10:00:01 *\tYou are now known as una', { kind: 'other', time }],
    ['10:00:01 *\tNow talking on #room', { kind: 'other', time }],
    ['10:00:01 *\tuna (~u@h) has joined', { kind: 'join', nick: 'una', time }],
    ['10:00:01 *\tuna removes her hat', { kind: 'action', nick: 'una', text: 'removes her hat', time }],
    ['10:00:01 * una has joined #room', { kind: 'action', nick: 'una', text: 'has joined #room', time }],
    ['10:00:01\t-->\tuna [acc] (A name) (~u@h) has joined #room', { kind: 'join', nick: 'una', time }],
    ['10:00:01\t=!=\tirc: error', { kind: 'other', time }],
    ['10:00:01\t****  Beginning of log  ****', { kind: 'other', time }],
    ['--- Day changed Thu Mar 04 2021', { kind: 'day', startsDay: day }],
    ['--- Log opened Thu Mar 04 09:58:11 2021', { kind: 'day', startsDay: day }],
    ['**** BEGIN LOGGING AT Thu Mar  4 09:58:11 2021', { kind: 'day', startsDay: day }],
  ]
  for (const [line, parsed] of cases) t.same(parseIrcLine(line), parsed, line)
})

t.test('a line that cannot be read has a reason', async t => {
  const cases: [line: string, reason: RegExp][] = [
    ['[25:99] <una> x', /a time that does not exist/],
    ['[24:00] <una> x', /a time that does not exist/],
    ['10:60 <una> x', /a time that does not exist/],
    ['10:00:60 <una> x', /a time that does not exist/],
    ['[2021-02-30 10:00:00] <una> x', /a time that does not exist/],
    ['2021-13-01 10:00:00\tuna\tx', /a time that does not exist/],
    ['Feb 30 10:00:00 <una>\tx', /a time that does not exist/],
    ['2021-03-04T10:00:00+24:00 <una> x', /a time that does not exist/],
    ['2021-03-04T10:00:00-0160 <una> x', /a time that does not exist/],
    ['--- Day changed Do Mär 04 2021', /a day in an unknown form/],
    ['**** BEGIN LOGGING AT Thu Feb 30 09:58:11 2021', /a day in an unknown form/],
    ['[10:00] something else', /not a line of a known form/],
    ['[10:00', /not a line of a known form/],
    ['[10:00 <una> x', /not a line of a known form/],
    ['[10:00pm] <una> x', /not a line of a known form/],
    ['<una> no time', /not a line of a known form/],
    ['Foo 04 10:00:00 <una> x', /not a line of a known form/],
    ['no line of a log', /not a line of a known form/],
    ['=== word', /not a line of a known form/],
    ['\0\0', /not a line of a known form/],
    ['10:00 <@> x', /no nick/],
    ['10:00 -!- una is now known as @', /no nick/],
    ['10:00 <una> \ud800', /surrogate/],
    [`10:00 <una> ${'x'.repeat(20_000)}`, /more than 20000 characters/],
  ]
  for (const [line, reason] of cases) {
    const parsed = parseIrcLine(line)
    t.equal(parsed.kind, 'bad', line)
    if (parsed.kind === 'bad') t.match(parsed.reason, reason, line)
  }
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
  for (const line of [123_456, 1_234_567]) t.ok(isId(messageOfLine('x'.repeat(200), line)))
})

t.test('a day becomes joins, messages and leaves', async t => {
  const log = [
    '=== ann [~a@host]  has joined #room',
    '[10:00] <ann> hi',
    '[10:01] <b|b> hello',
    '=== b|b is now known as bb',
    '=== bb nods',
    '=== ann [~a@host]  has left #room []',
  ]
  const day = Date.UTC(2004, 11, 25)
  const { items } = readLog({ stem: '2004-12-25.x', day }, '#room', log, '1 2 -\n2 4 -\n')
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

t.test('messages without visible text, too long or of the future are reported', async t => {
  const day = Date.UTC(2021, 2, 4)
  const tomorrow = new Date(Date.now() + 86_400_000).toISOString().slice(0, 19)
  const { items, bad, ignored } = readLog(
    { stem: '2021-03-04', day },
    '#room',
    [
      '[10:00:01] <una> ',
      '[10:00:01] <una> \u200b\u2800 \x02\x0f',
      '[10:00:01] * una',
      `[10:00:01] <una> ${'é'.repeat(8193)}`,
      `[10:00:01] * una ${'x'.repeat(16_381)}`,
      '[10:00:02] *** bob sets mode: +o una',
      '[10:00:03] <una> x',
      `${tomorrow} <una> x`,
      `${tomorrow}\t-->\tuna (u@h) has joined #room`,
    ],
    '0 6 -',
  )
  t.same(
    bad.map(({ line, reason }) => [line, reason.replace(/;.*/, '')]),
    [
      [1, 'text has no visible character'],
      [2, 'text has no visible character'],
      [3, 'text has no visible character'],
      [4, 'text has more than 16384 bytes'],
      [5, 'text has more than 16384 bytes'],
      [8, 'time is later than now'],
      [9, 'time is later than now'],
    ],
  )
  t.equal(ignored, 1)
  t.match(items, [{ line: 7, text: 'x', m: 'irc-2021-03-04-000006' }])
  t.notOk('replyTo' in items[0]!, 'a message that is not imported has no replies')
})
