import { withoutFormatting } from './log-text.ts'
import { type LogTime, parseStamp, parseWrittenDay } from './log-time.ts'

/** A line of an IRC log. A line that the import does not read has a reason. */
export type IrcLine =
  /** A message of a nick; `action` for `/me`. A notice counts as a message. */
  | {
      readonly kind: 'message' | 'action'
      readonly nick: string
      readonly text: string
      readonly time?: LogTime
    }
  /** A nick joins the channel; or it leaves the channel or the network, or is kicked. */
  | { readonly kind: 'join' | 'leave'; readonly nick: string; readonly time?: LogTime }
  | { readonly kind: 'nick'; readonly nick: string; readonly to: string; readonly time?: LogTime }
  /** The log was opened or closed on a day, or a day has started: its midnight, ms since 1970. */
  | { readonly kind: 'day'; readonly startsDay: number }
  /** Modes, topics, lists of users, messages of the client and the server, and empty lines. */
  | { readonly kind: 'other'; readonly time?: LogTime }
  /** `startsDay`: the line starts a day that the import cannot read, so that the next lines have no day. */
  | { readonly kind: 'bad'; readonly reason: string; readonly startsDay?: 'unknown' }

/** A form of lines of one kind. Groups of the pattern are the fields of the line. */
type Form = readonly [kind: 'message' | 'action' | 'join' | 'leave' | 'nick' | 'other', pattern: RegExp]

/**
 * Forms of lines after a time and a space. The first form that matches decides. HexChat writes actions and some events
 * alike, so that an action in the words of an event is read as the event.
 */
const forms: readonly Form[] = [
  // XChat and HexChat before 2.10 have arrows, later ones an asterisk. A tab follows.
  ['join', /^(?:-->|\*)\t(?<nick>\S+) \(\S*\) has joined(?: |$)/],
  ['leave', /^(?:<--|\*)\t(?<nick>\S+) (?:\(\S*\) has left(?: |$)|has quit \()/],
  ['leave', /^(?:<--|\*)\t\S+ has kicked (?<nick>\S+) from [#&+!]/],
  ['nick', /^(?:---|\*)\t(?<nick>\S+) is now known as (?<to>\S+)$/],
  ['other', /^(?:-->|<--|---)\t/],
  ['other', /^\*\t(?:Now talking on|Topic for|Channel|Users on) [#&+!]/],
  [
    'other',
    /^\*\t(?:You(?: have|'re| are now) |(?:Connected|Connecting|Disconnected|Looking up|Cannot join|Closing Link)\b)/,
  ],
  ['other', /^\*\t\S+ has changed the topic to: /],
  ['other', /^\*\t\S+ sets (?:mode|modes|ban|exempt|invite|quiet|channel (?:keyword|limit)) /],
  ['other', /^\*\t\S+ gives (?:voice|channel (?:half-)?operator status) to /],
  ['other', /^\*\t\S+ removes (?:voice|channel (?:half-)?operator status) from /],
  ['other', /^\*\t\S+ removes (?:ban|exempt|invite|quiet) on /],
  ['other', /^\*\t\S+ removes (?:channel keyword|user limit)$/],
  // irssi. The archive of #ubuntu has its messages, actions, notices and messages to another channel.
  ['join', /^-!- (?<nick>\S+) \[\S*\] has joined [#&+!]/],
  ['leave', /^-!- (?<nick>\S+) \[\S*\] has (?:left [#&+!]|quit \[)/],
  ['leave', /^-!- (?<nick>\S+) was kicked from [#&+!]/],
  ['nick', /^-!- (?<nick>\S+) is now known as (?<to>\S+)$/],
  ['other', /^(?:-!-|!\S+) /],
  ['other', /^\[(?:Users [#&+!]|[ @+%&~!]\S)/],
  ['message', /^\((?<nick>[^\s()/]+)\/[#&+!][^\s)]*\) (?<text>.*)$/s],
  // ZNC and energymech.
  ['join', /^\*\*\* Joins: (?<nick>\S+) \(/],
  ['leave', /^\*\*\* (?:Parts|Quits): (?<nick>\S+) \(/],
  ['leave', /^\*\*\* (?<nick>\S+) was kicked by /],
  ['nick', /^\*\*\* (?<nick>\S+) is now known as (?<to>\S+)$/],
  ['other', /^(?:\*\*\*|Connected to IRC|Disconnected from IRC) /],
  // All of them. A tab follows in XChat and HexChat.
  ['message', /^<(?<nick>[^<>\t]+?)(?::[#&][^<>\t]*)?>[ \t]?(?<text>.*)$/s],
  ['message', /^-(?<nick>[^\s!:(/-][^\s!:(/]*?)(?::[#&+!]\S*|\(\S*\)|\/\S+)?-[ \t](?<text>.*)$/s],
  ['action', /^(?: ?\* |\*\t)(?<nick>\S+)(?: (?<text>.*))?$/s],
]

/** Forms of lines after a time and a tab: WeeChat, whose columns are time, prefix and text. */
const columnForms: readonly Form[] = [
  ['join', /^-->\t(?<nick>\S+) (?:\[\S*\] )?(?:\(.*\) )?\(\S*\) has joined [#&+!]/s],
  ['leave', /^<--\t(?<nick>\S+) \(\S*\) has (?:left [#&+!]|quit(?: \(|$))/],
  ['leave', /^<--\t\S+ has kicked (?<nick>\S+)(?: |$)/],
  ['nick', /^--\t(?<nick>\S+) is now known as (?<to>\S+)$/],
  ['message', /^--\tNotice\((?<nick>[^\s()]+)\)(?: -> \S+)?: (?<text>.*)$/s],
  ['other', /^(?:-->|<--|--|=!=)\t/],
  ['other', /^\t?\*{4} {2}(?:Beginning|End) of log {2}\*{4}$/],
  ['action', /^ ?\*\t(?<nick>\S+)(?: (?<text>.*))?$/s],
  ['message', /^<?(?<nick>[^\s<>]+)>?\t(?<text>.*)$/s],
]

/** Forms of lines without a time, in the archive of #ubuntu. */
const untimedForms: readonly Form[] = [
  ['other', /^=== (?:mode\/|\.\.\[|net\w+:|Topic (?:for #|\(#)|Starting logfile )/],
  ['join', /^=== (?<nick>.+?) +\[.*\] {2}has joined #/s],
  ['leave', /^=== (?<nick>.+?) +\[.*\] {2}has left #/s],
  ['leave', /^=== (?<nick>\S+) was kicked off #/],
  ['nick', /^=== (?<nick>.+?) is now known as (?<to>.+)$/s],
  ['action', /^=== (?<nick>\S+) {1,2}(?<text>.+)$/s],
  ['other', /^\s*$/],
]

/** irssi, then HexChat. */
const dayLine =
  /^(?:--- (?:Log opened|Log closed|Day changed)|\*{4} (?:BEGIN|ENDING) LOGGING AT) (?<day>.*)$/s

/** Longer lines than those of a message of the greatest length. */
const maxLineChars = 20_000

/** Parses one line. Formatting codes are removed first. */
export const parseIrcLine = (written: string): IrcLine => {
  if (written.length > maxLineChars) return bad(`has more than ${maxLineChars} characters`)
  const line = withoutFormatting(written)
  if (!line.isWellFormed()) return bad('has half of a surrogate pair, which UTF-8 cannot encode')
  const dayText = dayLine.exec(line)?.groups?.day
  if (dayText !== undefined) {
    const startsDay = parseWrittenDay(dayText)
    if (startsDay !== undefined) return { kind: 'day', startsDay }
    return { ...bad('has a day in an unknown form'), startsDay: 'unknown' }
  }
  const stamped = parseStamp(line)
  if (stamped === undefined) return parseForms(untimedForms, line) ?? bad('is not a line of a known form')
  const { time, separator, rest } = stamped
  if (time === undefined) return bad('has a time that does not exist')
  const parsed = (separator === '\t' ? parseForms(columnForms, rest) : undefined) ?? parseForms(forms, rest)
  if (parsed === undefined) return bad('is not a line of a known form')
  return parsed.kind === 'bad' ? parsed : { ...parsed, time }
}

const bad = (reason: string): IrcLine & { kind: 'bad' } => ({ kind: 'bad', reason })

const parseForms = (forms: readonly Form[], line: string): Exclude<IrcLine, { kind: 'day' }> | undefined => {
  for (const [kind, pattern] of forms) {
    const found = pattern.exec(line)
    if (found === null) continue
    if (kind === 'other') return { kind }
    const { nick: written = '', to: writtenTo, text = '' } = found.groups ?? {}
    const nick = nickOf(written)
    const to = nickOf(writtenTo ?? '')
    if (nick === undefined || (kind === 'nick' && to === undefined)) return bad('has no nick')
    if (kind === 'message' || kind === 'action') return { kind, nick, text }
    return kind === 'nick' ? { kind, nick, to: to ?? '' } : { kind, nick }
  }
  return undefined
}

const nickCharacter = /[\p{L}\p{N}_[\]\\`^{|}]/u

/**
 * Returns a nick without the sign of its mode in the channel, and without the space that the program of the archive of
 * #ubuntu wrote after each `]`. Undefined: nothing of a nick is left.
 */
const nickOf = (written: string): string | undefined => {
  const nick = written
    .replace(/^[ @+%&~!]+/, '')
    .replaceAll('] ', ']')
    .trim()
  return nickCharacter.test(nick) ? nick : undefined
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
