import fc from 'fast-check'
import { isBlank } from '../../src/events/index.ts'

/** A line of a channel, before an IRC client writes it. `at`: ms since 1970. */
export type Said =
  | { kind: 'message' | 'action' | 'notice'; nick: string; mode: string; text: string; at: number }
  | { kind: 'join'; nick: string; at: number }
  | { kind: 'part' | 'quit' | 'kick'; nick: string; text: string; at: number }
  | { kind: 'nick'; nick: string; to: string; at: number }
  | { kind: 'topic' | 'mode'; nick: string; text: string; at: number }

/** One file: the day in its name, if it has one, its lines, and how many of them have no item. */
export interface WrittenLog {
  day?: string
  lines: string[]
  ignored: number
}

/** How an IRC client writes its log. */
export interface Dialect {
  name: string
  /** The smallest unit of its times, ms. */
  unitMs: number
  write(said: readonly Said[]): WrittenLog[]
}

const secondMs = 1000
const minuteMs = 60 * secondMs
const weekdays = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']
const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

const iso = (at: number): string => new Date(at).toISOString()
const dayOf = (at: number): string => iso(at).slice(0, 10)
const clockOf = (at: number): string => iso(at).slice(11, 19)
const monthOf = (at: number): string => months[new Date(at).getUTCMonth()]!
const weekdayOf = (at: number): string => weekdays[new Date(at).getUTCDay()]!
/** `asctime` of C. */
const asctime = (at: number): string =>
  `${weekdayOf(at)} ${monthOf(at)} ${iso(at).slice(8, 10).replace(/^0/, ' ')} ${clockOf(at)} ${iso(at).slice(0, 4)}`

const isIgnored = ({ kind }: Said): boolean => kind === 'topic' || kind === 'mode'

const byDay = (said: readonly Said[], offsetMs = 0): Map<string, Said[]> =>
  Map.groupBy(said, ({ at }) => dayOf(at + offsetMs))

const irssiLine = (said: Said): string => {
  switch (said.kind) {
    case 'message':
      return `<${said.mode || ' '}${said.nick}> ${said.text}`
    case 'action':
      return ` * ${said.nick} ${said.text}`
    case 'notice':
      return `-${said.nick}:#room- ${said.text}`
    case 'join':
      return `-!- ${said.nick} [~u@host.example] has joined #room`
    case 'part':
      return `-!- ${said.nick} [~u@host.example] has left #room [${said.text}]`
    case 'quit':
      return `-!- ${said.nick} [~u@host.example] has quit [${said.text}]`
    case 'kick':
      return `-!- ${said.nick} was kicked from #room by bob [${said.text}]`
    case 'nick':
      return `-!- ${said.nick} is now known as ${said.to}`
    case 'topic':
      return `-!- ${said.nick} changed the topic of #room to: ${said.text}`
    case 'mode':
      return `-!- mode/#room [+o ${said.nick}] by ${said.nick}`
  }
}

/** irssi says when a log is opened and when a day starts. `offsetMs`: of its time zone from UTC. */
const irssi = (name: string, unitMs: number, stamp: (at: number) => string, offsetMs = 0): Dialect => ({
  name: `irssi, ${name}`,
  unitMs,
  write: said => {
    const lines: string[] = []
    let marks = 0
    for (const [, ofDay] of byDay(said, offsetMs)) {
      const at = ofDay[0]!.at + offsetMs
      const date = `${weekdayOf(at)} ${monthOf(at)} ${iso(at).slice(8, 10)}`
      lines.push(
        marks++ === 0
          ? `--- Log opened ${date} ${clockOf(at)} ${iso(at).slice(0, 4)}`
          : `--- Day changed ${date} ${iso(at).slice(0, 4)}`,
        ...ofDay.map(each => `${stamp(each.at)} ${irssiLine(each)}`),
      )
    }
    return [{ lines, ignored: marks + said.filter(isIgnored).length }]
  },
})

const starLine = (said: Said): string => {
  switch (said.kind) {
    case 'message':
      return `<${said.mode}${said.nick}> ${said.text}`
    case 'action':
      return `* ${said.nick} ${said.text}`
    case 'notice':
      return `-${said.nick}- ${said.text}`
    case 'join':
      return `*** Joins: ${said.nick} (~u@host.example)`
    case 'part':
      return `*** Parts: ${said.nick} (~u@host.example) (${said.text})`
    case 'quit':
      return `*** Quits: ${said.nick} (~u@host.example) (${said.text})`
    case 'kick':
      return `*** ${said.nick} was kicked by bob (${said.text})`
    case 'nick':
      return `*** ${said.nick} is now known as ${said.to}`
    case 'topic':
      return `*** ${said.nick} changes topic to '${said.text}'`
    case 'mode':
      return `*** ${said.nick} sets mode: +o ${said.nick}`
  }
}

/** ZNC and energymech write a file for each day, with the day in its name. */
const starred = (name: string, nameOf: (day: string) => string): Dialect => ({
  name,
  unitMs: secondMs,
  write: said =>
    [...byDay(said)].map(([day, ofDay]) => ({
      day: nameOf(day),
      lines: ofDay.map(each => `[${clockOf(each.at)}] ${starLine(each)}`),
      ignored: ofDay.filter(isIgnored).length,
    })),
})

const chatLine = (said: Said, [join, leave, other]: [string, string, string]): string => {
  switch (said.kind) {
    case 'message':
      return `<${said.mode}${said.nick}>\t${said.text}`
    case 'action':
      return `*\t${said.nick} ${said.text}`
    case 'notice':
      return `-${said.nick}-\t${said.text}`
    case 'join':
      return `${join}\t${said.nick} (~u@host.example) has joined #room`
    case 'part':
      return `${leave}\t${said.nick} (~u@host.example) has left #room (${said.text})`
    case 'quit':
      return `${leave}\t${said.nick} has quit (${said.text})`
    case 'kick':
      return `${leave}\tbob has kicked ${said.nick} from #room (${said.text})`
    case 'nick':
      return `${other}\t${said.nick} is now known as ${said.to}`
    case 'topic':
      return `${other}\t${said.nick} has changed the topic to: ${said.text}`
    case 'mode':
      return `${other}\t${said.nick} gives channel operator status to ${said.nick}`
  }
}

/** XChat and HexChat write the year only when they open and close the log. */
const hexchat = (name: string, prefixes: [string, string, string]): Dialect => ({
  name,
  unitMs: secondMs,
  write: said => {
    const [first, last] = [said[0]?.at ?? 0, said.at(-1)?.at ?? 0]
    const stamp = (at: number): string => `${monthOf(at)} ${iso(at).slice(8, 10)} ${clockOf(at)}`
    const lines = [
      `**** BEGIN LOGGING AT ${asctime(first)}`,
      '',
      ...said.map(each => `${stamp(each.at)} ${chatLine(each, prefixes)}`),
      `**** ENDING LOGGING AT ${asctime(last)}`,
      '',
    ]
    return [{ lines, ignored: 4 + said.filter(isIgnored).length }]
  },
})

const columnLine = (said: Said): string => {
  switch (said.kind) {
    case 'message':
      return `${said.mode}${said.nick}\t${said.text}`
    case 'action':
      return ` *\t${said.nick} ${said.text}`
    case 'notice':
      return `--\tNotice(${said.nick}) -> #room: ${said.text}`
    case 'join':
      return `-->\t${said.nick} (~u@host.example) has joined #room`
    case 'part':
      return `<--\t${said.nick} (~u@host.example) has left #room (${said.text})`
    case 'quit':
      return `<--\t${said.nick} (~u@host.example) has quit (${said.text})`
    case 'kick':
      return `<--\tbob has kicked ${said.nick} (${said.text})`
    case 'nick':
      return `--\t${said.nick} is now known as ${said.to}`
    case 'topic':
      return `--\t${said.nick} has changed topic for #room to "${said.text}"`
    case 'mode':
      return `--\tMode #room [+o ${said.nick}] by ${said.nick}`
  }
}

const weechat = (name: string, unitMs: number, stamp: (at: number) => string): Dialect => ({
  name: `WeeChat, ${name}`,
  unitMs,
  write: said => [
    {
      lines: said.map(each => `${stamp(each.at)}\t${columnLine(each)}`),
      ignored: said.filter(isIgnored).length,
    },
  ],
})

const zoned = (zone: string, offsetMs: number): Dialect =>
  irssi(
    `2021-03-04T10:00:00${zone}`,
    secondMs,
    at => `${dayOf(at + offsetMs)}T${clockOf(at + offsetMs)}${zone}`,
    offsetMs,
  )

export const dialects: readonly Dialect[] = [
  irssi('10:01', minuteMs, at => clockOf(at).slice(0, 5)),
  irssi('10:00:01', secondMs, clockOf),
  irssi('[10:01]', minuteMs, at => `[${clockOf(at).slice(0, 5)}]`),
  irssi('[10:00:01]', secondMs, at => `[${clockOf(at)}]`),
  irssi('2021-03-04 10:00:00', secondMs, at => `${dayOf(at)} ${clockOf(at)}`),
  irssi('[2021-03-04 10:00:00]', secondMs, at => `[${dayOf(at)} ${clockOf(at)}]`),
  zoned('+0200', 2 * 3_600_000),
  zoned('-09:30', -9.5 * 3_600_000),
  starred('ZNC', day => `${day}.log`),
  starred('energymech', day => `#room_${day.replaceAll('-', '')}.log`),
  hexchat('HexChat', ['*', '*', '*']),
  hexchat('XChat', ['-->', '<--', '---']),
  weechat('before 4.8', secondMs, at => `${dayOf(at)} ${clockOf(at)}`),
  weechat('since 4.8', 1, at => `${dayOf(at)} ${iso(at).slice(11, 23)}456Z`),
]

const nick = fc.stringMatching(/^[A-Za-z[\]\\`_^{|}][A-Za-z0-9[\]\\`_^{|}-]{0,15}$/)

// biome-ignore lint/suspicious/noControlCharactersInRegex: formatting codes are control characters
const formatting = /[\x02\x03\x04\x0f\x11\x16\x1d\x1e\x1f]/
const text = fc
  .oneof(fc.string({ unit: 'grapheme', maxLength: 40 }), fc.string({ unit: 'binary', maxLength: 40 }))
  .filter(each => !isBlank(each) && !/[\r\n]/.test(each) && !formatting.test(each))

const mode = fc.constantFrom('', '@', '+', '%', '&', '~')

const withoutTime = fc.oneof(
  fc.record({ kind: fc.constantFrom('message', 'action', 'notice'), nick, mode, text }),
  fc.record({ kind: fc.constant('join'), nick }),
  fc.record({ kind: fc.constantFrom('part', 'quit', 'kick', 'topic', 'mode'), nick, text }),
  fc.record({ kind: fc.constant('nick'), nick, to: nick }),
)

const years = { min: Date.parse('1990-01-01T00:00:00Z'), max: Date.parse('2020-12-31T00:00:00Z') }

/** Lines of a channel in the order of their times: seconds, hours or days apart. */
export const conversation: fc.Arbitrary<Said[]> = fc
  .tuple(
    fc.oneof(fc.integer(years), fc.constant(Date.parse('2016-12-31T20:00:00Z'))),
    fc.array(
      fc.tuple(
        withoutTime,
        fc.oneof(fc.integer({ max: 90_000, min: 0 }), fc.integer({ max: 40 * 3_600_000, min: 0 })),
      ),
      { minLength: 1, maxLength: 30 },
    ),
  )
  .map(([start, lines]) => {
    let at = start
    return lines.map(([line, later]) => {
      at += later
      return { ...line, at } as Said
    })
  })
