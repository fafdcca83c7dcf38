/** A day without a year, as HexChat writes it. Months count from 0. */
export interface DayOfYear {
  readonly month: number
  readonly date: number
}

/** The time that an IRC client has written before a line. */
export interface LogTime {
  /** Time of day, ms. */
  readonly clock: number
  /** The day, if the line names it: its midnight, ms since 1970, or its day of the year. */
  readonly day?: number | DayOfYear
}

const minuteMs = 60_000
const hourMs = 60 * minuteMs
const dayMs = 24 * hourMs

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/** Returns the midnight of a day, ms since 1970. Undefined: the day does not exist. Months count from 0. */
const midnightOf = (year: number, month: number, date: number): number | undefined => {
  const day = new Date(0)
  day.setUTCFullYear(year, month, date)
  return day.getUTCMonth() === month && day.getUTCDate() === date ? day.getTime() : undefined
}

const isoDay = /(?<!\d)(\d{4})([-_.]?)(\d\d)\2(\d\d)(?!\d)/g

/** Returns the first day in a file name, such as `2021-03-04` or `20210304`: its midnight, ms since 1970. */
export const dayInName = (name: string): number | undefined => {
  for (const [, year, , month, date] of name.matchAll(isoDay)) {
    const day = midnightOf(Number(year), Number(month) - 1, Number(date))
    if (day !== undefined) return day
  }
  return undefined
}

const writtenDay = /^\S+ ([A-Z][a-z]{2}) ([ \d]\d) (?:\d\d:\d\d:\d\d )?(\d{4})$/

/** Parses a day as C programs write it: `Thu Mar  4 09:58:11 2021`. Returns its midnight, ms since 1970. */
export const parseWrittenDay = (text: string): number | undefined => {
  const [, month = '', date, year] = writtenDay.exec(text) ?? []
  return months.includes(month) ? midnightOf(Number(year), months.indexOf(month), Number(date)) : undefined
}

/**
 * A time in brackets or without: `10:01`, `10:00:01`, `2021-03-04 10:00:00`, `2021-03-04T10:00:00.123Z`,
 * `Mar 04 10:00:00`. The rest of the line follows after a space or a tab.
 */
const stamp = new RegExp(
  [
    String.raw`^(?<open>\[?)`,
    String.raw`(?:(?<year>\d{4})-(?<month>\d\d)-(?<date>\d\d)[T ]`,
    String.raw`|(?<name>[A-Z][a-z]{2}) (?<nameDate>[ \d]\d) (?:(?<nameYear>\d{4}) )?)?`,
    String.raw`(?<hour>\d{1,2}):(?<minute>\d\d)(?::(?<second>\d\d)(?:[.,](?<fraction>\d{1,9}))?)?`,
    String.raw`(?<zone>Z|[+-]\d\d:?\d\d)?`,
    String.raw`(?<close>\]?)(?:(?<separator>[ \t])(?<rest>.*))?$`,
  ].join(''),
  's',
)

type Groups = Readonly<Record<string, string | undefined>>

/** The time of a line and the text after it. */
export interface Stamped {
  /** Undefined: the written time does not exist, such as `25:99` or the 30th of February. */
  readonly time: LogTime | undefined
  readonly separator: string
  readonly rest: string
}

/** Parses the time at the start of a line. Undefined: the line starts with none. */
export const parseStamp = (line: string): Stamped | undefined => {
  const groups: Groups | undefined = stamp.exec(line)?.groups
  if (groups === undefined || (groups.open === '[') !== (groups.close === ']')) return undefined
  if (groups.name !== undefined && !months.includes(groups.name)) return undefined
  const { separator = '', rest = '' } = groups
  return { time: timeOf(groups), separator, rest }
}

const timeOf = (groups: Groups): LogTime | undefined => {
  const [hour, minute, second] = [groups.hour, groups.minute, groups.second ?? 0].map(Number)
  if (hour === undefined || minute === undefined || second === undefined) return undefined
  if (hour > 23 || minute > 59 || second > 59) return undefined
  const thousandths = Number((groups.fraction ?? '').padEnd(3, '0').slice(0, 3))
  const clock = hour * hourMs + minute * minuteMs + second * 1000 + thousandths
  if (groups.year === undefined && groups.name === undefined) return { clock }
  const day = dayOf(groups)
  const offset = offsetOf(groups.zone ?? 'Z')
  if (day === undefined || offset === undefined) return undefined
  if (typeof day !== 'number') return { clock, day }
  const at = day + clock - offset
  const utcDay = Math.floor(at / dayMs) * dayMs
  return { clock: at - utcDay, day: utcDay }
}

/** A day of the year that this year does not have never exists. */
const leapYear = '2000'

const dayOf = ({ year, month, date, name, nameDate, nameYear }: Groups): number | DayOfYear | undefined => {
  if (name === undefined) return midnightOf(Number(year), Number(month) - 1, Number(date))
  const inYear = { month: months.indexOf(name), date: Number(nameDate) }
  const day = midnightOf(Number(nameYear ?? leapYear), inYear.month, inYear.date)
  return nameYear === undefined && day !== undefined ? inYear : day
}

/** Returns the offset of a time zone such as `+02:00` from UTC, ms. Undefined: there is no such zone. */
const offsetOf = (zone: string): number | undefined => {
  if (zone === 'Z') return 0
  const [hours, minutes] = [Number(zone.slice(1, 3)), Number(zone.slice(-2))]
  if (hours > 23 || minutes > 59) return undefined
  return (zone.startsWith('-') ? -1 : 1) * (hours * hourMs + minutes * minuteMs)
}

/** Returns the day of the year that is next to a time. */
const nearest = ({ month, date }: DayOfYear, to: number): number | undefined => {
  const year = new Date(to).getUTCFullYear()
  return [year - 1, year, year + 1]
    .flatMap(each => midnightOf(each, month, date) ?? [])
    .sort((a, b) => Math.abs(a - to) - Math.abs(b - to))[0]
}

/** A line of a log as `timesOfLines` needs it: its time, or the day that it starts, or neither. */
export interface TimedLine {
  readonly time?: LogTime
  /** The line says that this day has started: its midnight, ms since 1970, or a day that cannot be read. */
  readonly startsDay?: number | 'unknown'
}

/** A smaller step back is a clock adjustment: neither another day nor the next half of the day. */
const adjustmentMs = 6 * hourMs

/**
 * Returns the times of lines, ms since 1970, from the day on which the log starts, ms since 1970. A line without a time
 * has the time of the line before, or that of the line after where a log or a day starts. When a clock steps back by
 * up to `adjustmentMs`, lines keep the earlier time until the clock reaches it. A clock without a day that steps back
 * further has passed midnight. Old logs have a clock of twelve hours without am and pm: there, half a day has passed,
 * or a day, if half a day is not enough. Undefined: the day of the line is not known.
 */
export const timesOfLines = (
  lines: readonly TimedLine[],
  firstDay: number | undefined,
): (number | undefined)[] => {
  const stepMs = hasTwelveHours(lines) ? dayMs / 2 : dayMs
  let day = firstDay
  let passed = 0
  let last: number | undefined
  const times = lines.map(({ time, startsDay }): number | undefined => {
    if (startsDay !== undefined) {
      const today = day === undefined ? undefined : Math.floor((day + passed) / dayMs) * dayMs
      if (startsDay !== today) {
        day = startsDay === 'unknown' ? undefined : startsDay
        passed = 0
        last = undefined
      }
      return last
    }
    if (time === undefined) return last
    if (time.day !== undefined) {
      const today = last ?? day
      day =
        typeof time.day === 'number' ? time.day : today === undefined ? undefined : nearest(time.day, today)
      passed = 0
    }
    if (day === undefined) return undefined
    let at = day + passed + time.clock
    if (last !== undefined && at < last) {
      if (last - at <= adjustmentMs) at = last
      else if (time.day === undefined) for (; at < last; passed += stepMs) at += stepMs
    }
    last = at
    return at
  })
  let next = day
  for (let i = lines.length - 1; i >= 0; i--) {
    if (lines[i]?.time === undefined) times[i] ??= next
    next = times[i] ?? next
  }
  return times
}

/** Whether a log may have a clock of twelve hours: no day in any line, no seconds, and no hour after 12. */
const hasTwelveHours = (lines: readonly TimedLine[]): boolean =>
  lines.every(
    ({ time, startsDay }) =>
      startsDay === undefined &&
      (time === undefined ||
        (time.day === undefined && time.clock % minuteMs === 0 && time.clock < 13 * hourMs)),
  )
