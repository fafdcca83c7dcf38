import type { Entry, Message, Notice } from './timeline.ts'

/**
 * A row of the timeline, top to bottom. `seq`: that of its entry, or of the entry after it. `lead`: the first of
 * several messages by one author, which shows the author.
 */
export type Row = { readonly key: string; readonly seq: number } & (
  | { readonly kind: 'day'; readonly at: string }
  | { readonly kind: 'unread' }
  | { readonly kind: 'notice'; readonly notice: Notice }
  | { readonly kind: 'message'; readonly message: Message; readonly lead: boolean }
)

/** Maximum time between two messages of one author that are grouped, ms. */
const togetherMs = 5 * 60_000

/** The local day of a time. */
export const dayOf = (at: string): string => new Date(at).toDateString()

/**
 * Lays out entries: a separator per day, messages of one author grouped, and a line before the first message of
 * another user after `unreadAfter`.
 */
export const toRows = (
  entries: readonly Entry[],
  options: { me: string; unreadAfter?: number | undefined },
): Row[] => {
  const rows: Row[] = []
  let day = ''
  let before: Entry | undefined
  let marked = options.unreadAfter === undefined
  for (const entry of entries) {
    const { seq } = entry
    if (dayOf(entry.at) !== day) {
      day = dayOf(entry.at)
      rows.push({ kind: 'day', key: `day ${day} ${seq}`, seq, at: entry.at })
      before = undefined
    }
    if (entry.kind === 'notice') {
      rows.push({ kind: 'notice', key: `notice ${seq}`, seq, notice: entry })
      before = entry
      continue
    }
    if (!marked && seq > (options.unreadAfter ?? 0) && entry.from !== options.me) {
      rows.push({ kind: 'unread', key: 'unread', seq })
      marked = true
      before = undefined
    }
    rows.push({ kind: 'message', key: entry.m, seq, message: entry, lead: !continues(before, entry) })
    before = entry
  }
  return rows
}

const continues = (before: Entry | undefined, message: Message): boolean =>
  before?.kind === 'message' &&
  before.from === message.from &&
  message.replyTo === undefined &&
  Date.parse(message.at) - Date.parse(before.at) < togetherMs
