import t from 'tap'
import { parseIrcLine } from '../../src/cli/import/irc-lines.ts'
import { dayInName, type TimedLine, timesOfLines } from '../../src/cli/import/log-time.ts'

const day = Date.UTC(2006, 0, 2)
const minutesOf = (times: readonly (number | undefined)[]) =>
  times.map(ms => (ms === undefined ? undefined : new Date(ms).toISOString().slice(0, 16)))

t.test('times of clocks without a day never decrease', async t => {
  const of = (...minutes: (number | undefined)[]) =>
    minutesOf(
      timesOfLines(
        minutes.map(
          (minute): TimedLine => (minute === undefined ? {} : { time: { clock: minute * 60_000 } }),
        ),
        day,
      ),
    )
  t.same(of(10, 20), ['2006-01-02T00:10', '2006-01-02T00:20'])
  t.same(
    of(undefined, 20, undefined, 21),
    ['2006-01-02T00:20', '2006-01-02T00:20', '2006-01-02T00:20', '2006-01-02T00:21'],
    'a line without a time has the time of the line before, the first line that of the line after',
  )
  t.same(of(1439, 0, 5), ['2006-01-02T23:59', '2006-01-03T00:00', '2006-01-03T00:05'], 'over midnight')
  t.same(of(1300, 610), ['2006-01-02T21:40', '2006-01-03T10:10'], 'a clock of 24 hours, over a quiet night')
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

t.test('days come from lines, and lines that are not read do not move them', async t => {
  const of = (lines: readonly string[], firstDay: number | undefined = day) =>
    minutesOf(timesOfLines(lines.map(parseIrcLine), firstDay))
  t.same(
    of(['[10:00] <una> x', '[25:99] <una> x', '[03:00] what', '[10:01] <una> x']),
    ['2006-01-02T10:00', '2006-01-02T10:00', '2006-01-02T10:00', '2006-01-02T10:01'],
    'a time that does not exist',
  )
  t.same(
    of([
      '--- Log opened Tue Jan 03 23:50:11 2006',
      '23:50 <una> x',
      '--- Day changed Wed Jan 04 2006',
      '00:00 <una> x',
    ]),
    ['2006-01-03T23:50', '2006-01-03T23:50', '2006-01-04T00:00', '2006-01-04T00:00'],
    'irssi',
  )
  t.same(
    of(['23:50 <una> x', '00:10 <una> x', '--- Log closed Tue Jan 03 00:11:00 2006', '00:12 <una> x']),
    ['2006-01-02T23:50', '2006-01-03T00:10', '2006-01-03T00:10', '2006-01-03T00:12'],
    'a day that the clock has started already',
  )
  t.same(
    of([
      '10:00 <una> x',
      '--- Day changed Di Jän 03 2006',
      '10:01 <una> x',
      '--- Day changed Wed Jan 04 2006',
      '10:02 <una> x',
    ]),
    ['2006-01-02T10:00', '2006-01-04T10:02', undefined, '2006-01-04T10:02', '2006-01-04T10:02'],
    'after a day in an unknown form, no line has a time until the next day',
  )
  t.same(
    of([
      '**** BEGIN LOGGING AT Sat Dec 31 23:59:00 2005',
      'Dec 31 23:59:01 <una>\tx',
      'Jan 01 00:00:01 <una>\tx',
      'Feb 29 10:00:00 <una>\tx',
    ]),
    ['2005-12-31T23:59', '2005-12-31T23:59', '2006-01-01T00:00', undefined],
    'HexChat: the next year, and a day that no following year has is not known',
  )
  t.same(
    of(['2006-03-04 10:00:00\tuna\tx', '2006-03-04 09:59:00\tuna\tx', '2006-03-02 10:00:00\tuna\tx']),
    ['2006-03-04T10:00', '2006-03-04T10:00', '2006-03-02T10:00'],
    'written days count, also earlier ones; times never step back by minutes',
  )
})

t.test('finds the day in a file name', async t => {
  const cases: [name: string, day: string | undefined][] = [
    ['2004-12-25.train-c.raw.txt', '2004-12-25'],
    ['#room_20210304.log', '2021-03-04'],
    ['net_#room_2021_03_04.log', '2021-03-04'],
    ['2021-02-30.log', undefined],
    ['20219999-2021-03-04.log', '2021-03-04'],
    ['120210304.log', undefined],
    ['2021-0304.log', undefined],
    ['#room.log', undefined],
  ]
  for (const [name, found] of cases) {
    const ms = dayInName(name)
    t.equal(ms === undefined ? undefined : new Date(ms).toISOString().slice(0, 10), found, name)
  }
})
