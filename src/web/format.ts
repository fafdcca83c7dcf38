import type { Attachment } from '../events/index.ts'
import type { Notice } from './timeline.ts'

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' })
const weekday = new Intl.DateTimeFormat(undefined, { weekday: 'long' })
const dayMonth = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' })
const fullDay = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'long', year: 'numeric' })
const shortDay = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' })
const numericDay = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'numeric', year: '2-digit' })
const endOf = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' })
const precise = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' })

/** Days between a time and now, by local midnight. */
const daysAgo = (at: Date, now: Date): number => {
  const midnight = (date: Date): number =>
    new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime()
  return Math.round((midnight(now) - midnight(at)) / 86_400_000)
}

export const formatTime = (at: string): string => clock.format(new Date(at))

/** The time without AM or PM, where space is short. */
export const formatClock = (at: string): string =>
  clock
    .formatToParts(new Date(at))
    .filter(({ type }) => type === 'hour' || type === 'minute')
    .map(({ value }) => value)
    .join(':')

/** Date and time in full, for a tooltip. */
export const formatPrecisely = (at: string): string => precise.format(new Date(at))

export const formatDay = (at: string, now = new Date()): string => {
  const date = new Date(at)
  const ago = daysAgo(date, now)
  if (ago === 0) return 'Today'
  if (ago === 1) return 'Yesterday'
  return date.getFullYear() === now.getFullYear() ? dayMonth.format(date) : fullDay.format(date)
}

/** As short as possible: a time today, a weekday this week, else a date. */
export const formatBriefly = (at: string, now = new Date()): string => {
  const date = new Date(at)
  const ago = daysAgo(date, now)
  if (ago === 0) return clock.format(date)
  if (ago === 1) return 'Yesterday'
  if (ago < 7) return weekday.format(date)
  return date.getFullYear() === now.getFullYear() ? shortDay.format(date) : numericDay.format(date)
}

/** Date and time of the end of something, in short. */
export const formatUntil = (at: string): string => endOf.format(new Date(at))

/** `a`, `a and b`, `a, b and c`; names beyond `most` are counted. */
export const formatNames = (names: readonly string[], most = 3): string => {
  if (names.length > most)
    return `${names.slice(0, most - 1).join(', ')} and ${names.length - most + 1} others`
  if (names.length <= 1) return names.join('')
  return `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`
}

/** Returns what happened, and the title that it is about, if any. */
export const formatNotice = ({ event }: Notice, me: string): readonly [what: string, title?: string] => {
  const who = (user: string): string => (user === me ? 'you' : user)
  const Who = (user: string): string => (user === me ? 'You' : user)
  switch (event.type) {
    case 'conversation.created': {
      const others = event.members.map(({ user }) => user).filter(user => user !== event.from)
      const started = `${Who(event.from)} started the conversation`
      const invited =
        event.invited === undefined ? '' : `, and invited ${formatNames(event.invited.map(who))}`
      return others.length === 0 || event.kind === 'direct'
        ? [`${started}${invited}`]
        : [`${started} with ${formatNames(others.map(who))}${invited}`]
    }
    case 'conversation.renamed':
      return [`${Who(event.from)} renamed it to`, event.title]
    case 'conversation.settings_changed': {
      if (event.archived === true) return [`${Who(event.from)} archived the conversation`]
      // The event has all other settings, and does not tell which of them changed.
      if (event.data !== undefined) return [`${Who(event.from)} changed the settings`]
      const posting = event.posting === 'staff' ? 'only the owner and admins' : 'everybody'
      const pace = event.slowModeSeconds === 0 ? '' : `, members once in ${event.slowModeSeconds} seconds`
      const past = event.historyFrom === 'join' ? ', and new members read from their joining on' : ''
      return [`${Who(event.from)} let ${posting} post${event.posting === 'staff' ? '' : pace}${past}`]
    }
    case 'member.joined':
      return [
        event.from === event.user
          ? `${Who(event.user)} joined`
          : `${Who(event.from)} added ${who(event.user)}`,
      ]
    case 'member.left': {
      const left =
        event.from === event.user
          ? `${Who(event.user)} left`
          : `${Who(event.from)} removed ${who(event.user)}`
      return event.successor === undefined
        ? [left]
        : [`${left}; ${who(event.successor)} now owns the conversation`]
    }
    case 'member.banned': {
      const until = event.until === undefined ? '' : ` until ${formatUntil(event.until)}`
      return [`${Who(event.from)} banned ${who(event.user)}${until}`]
    }
    case 'member.unbanned':
      return [`${Who(event.from)} lifted the ban of ${who(event.user)}`]
    case 'member.invited':
      return [`${Who(event.from)} invited ${who(event.user)}`]
    case 'member.uninvited':
      if (event.accepted === true) return [`${Who(event.user)} accepted the invitation`]
      return [
        event.from === event.user
          ? `${Who(event.user)} declined the invitation`
          : `${Who(event.from)} withdrew the invitation of ${who(event.user)}`,
      ]
    case 'member.role_changed':
      return [
        `${Who(event.from)} made ${who(event.user)} ${event.role === 'member' ? 'a member' : `an ${event.role}`}`,
      ]
  }
}

/** The text of a message in one line; for files alone, their name or number, as far as they are known. */
export const summaryOf = (message: { text: string; attachments?: readonly Attachment[] }): string => {
  const { text, attachments = [] } = message
  if (text.trim() !== '') return text
  const [first, ...more] = attachments
  if (first === undefined) return '📎 File'
  return more.length === 0 ? `📎 ${first.name}` : `📎 ${attachments.length} files`
}

/** A readable size: `812 kB`, `1.4 MB`. */
export const formatBytes = (bytes: number): string => {
  const units = ['B', 'kB', 'MB', 'GB'] as const
  let size = bytes
  let unit = 0
  for (; size >= 999.5 && unit < units.length - 1; unit++) size /= 1000
  return `${unit === 0 || size >= 10 ? Math.round(size) : size.toFixed(1)} ${units[unit]}`
}

export const initialsOf = (name: string): string => {
  const words = name.split(/[^\p{L}\p{M}\p{N}]+/u).filter(word => word !== '')
  const first = [...(words[0] ?? (name.trim() || '?'))]
  const second = words.length > 1 ? [...(words.at(-1) ?? '')][0] : undefined
  return `${first[0] ?? '?'}${second ?? ''}`.toUpperCase()
}

/** The hue of an id, in degrees: the same on every page. */
export const hueOf = (id: string): number => {
  let hash = 2_166_136_261
  for (const char of id) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 16_777_619)
  return (hash >>> 0) % 360
}
