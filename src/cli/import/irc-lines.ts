/**
 * A line of an IRC log, as irssi and the public #ubuntu archive write it. Times are in minutes; old logs have a
 * twelve-hour clock without am and pm.
 */
export type IrcLine =
  /** A message of a nick; `action` for `/me`. A notice counts as a message. */
  | {
      readonly kind: 'message' | 'action'
      readonly nick: string
      readonly text: string
      readonly minute?: number
    }
  | { readonly kind: 'join' | 'part' | 'kick'; readonly nick: string }
  | { readonly kind: 'nick'; readonly nick: string; readonly to: string }
  /** Modes, topics, splits, and text that is not a log line. `minute` if the line has a time. */
  | { readonly kind: 'other'; readonly minute?: number }

const clock = /^\[(\d\d):(\d\d)\] (.*)$/s
const said = /^<([^>]+)> ?(.*)$/s
const did = /^ \* (\S+) ?(.*)$/s
const notice = /^-([^\s:]+):#\S+- (.*)$/s
const aside = /^\(([^\s/]+)\/#[^\s)]+\) (.*)$/s

const status = /^=== (.*)$/s
const joined = /^(.+?) +\[.*\] {2}has joined #/
const left = /^(.+?) +\[.*\] {2}has left #/
const kicked = /^(\S+) was kicked off #/
const renamed = /^(.+?) is now known as (.+)$/
/**
 * `mode/#ubuntu […]`, `..[topic/#ubuntu…]`, `netjoined:`, `netsplit:`, the topic on joining: lines of the server or
 * about the channel.
 */
const channelLine = /^(mode\/|\.\.\[|net\w+:|Topic (for #|\(#)|Starting logfile )/

/** Removes the space that the program of the archive wrote after each `]` in a nick. */
const nickOf = (written: string): string => written.replaceAll('] ', ']').trim()

/** Parses one line. */
export const parseIrcLine = (line: string): IrcLine => {
  const timed = clock.exec(line)
  if (timed) {
    const minute = Number(timed[1]) * 60 + Number(timed[2])
    const rest = timed[3] ?? ''
    const message = said.exec(rest) ?? notice.exec(rest) ?? aside.exec(rest)
    if (message) return { kind: 'message', nick: nickOf(message[1] ?? ''), text: message[2] ?? '', minute }
    const action = did.exec(rest)
    if (action) return { kind: 'action', nick: nickOf(action[1] ?? ''), text: action[2] ?? '', minute }
    return { kind: 'other', minute }
  }
  const rest = status.exec(line)?.[1]
  if (rest === undefined || channelLine.test(rest)) return { kind: 'other' }
  const join = joined.exec(rest)
  if (join) return { kind: 'join', nick: nickOf(join[1] ?? '') }
  const part = left.exec(rest)
  if (part) return { kind: 'part', nick: nickOf(part[1] ?? '') }
  const kick = kicked.exec(rest)
  if (kick) return { kind: 'kick', nick: nickOf(kick[1] ?? '') }
  const nick = renamed.exec(rest)
  if (nick) return { kind: 'nick', nick: nickOf(nick[1] ?? ''), to: nickOf(nick[2] ?? '') }
  const action = /^(\S+) {1,2}(.+)$/s.exec(rest)
  return action ? { kind: 'action', nick: nickOf(action[1] ?? ''), text: action[2] ?? '' } : { kind: 'other' }
}

const halfDay = 720
/** A smaller step back, in minutes, is a clock adjustment, not the next half of the day. */
const jitter = 360

/**
 * Returns the times of the lines of a day, in ms since 1970, never decreasing. A clock that jumps back means that
 * twelve hours have passed (or a day, if twelve hours are not enough). A line without a time has the time of the line
 * before; the first lines have the first time of the file.
 */
export const timesOfDay = (date: string, minutes: readonly (number | undefined)[]): number[] => {
  const midnight = Date.parse(`${date}T00:00:00.000Z`)
  let offset = 0
  let last = minutes.find(minute => minute !== undefined) ?? 0
  return minutes.map(minute => {
    if (minute !== undefined) {
      if (minute + offset < last - jitter) while (minute + offset < last) offset += halfDay
      last = Math.max(last, minute + offset)
    }
    return midnight + last * 60_000
  })
}

/**
 * Returns the reply links of an annotation file: `<line> <line> -`, lines from 0. The later line replies to the nearest
 * earlier line that `accepts` selects.
 */
export const parseReplyLinks = (text: string, accepts: (line: number) => boolean): Map<number, number> => {
  const links = new Map<number, number>()
  for (const row of text.split('\n')) {
    const [first, second] = row.trim().split(/\s+/).map(Number)
    if (first === undefined || second === undefined || !Number.isInteger(first) || !Number.isInteger(second))
      continue
    const earlier = Math.min(first, second)
    const later = Math.max(first, second)
    if (earlier !== later && accepts(earlier) && accepts(later))
      links.set(later, Math.max(earlier, links.get(later) ?? -1))
  }
  return links
}
