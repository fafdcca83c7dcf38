import type { ConversationEvent, InboxItem } from '../events/index.ts'

export type Inbox = Map<string, InboxItem>

/** Whether an event ends the membership of its `user`. */
export const endsMembership = (event: ConversationEvent, user: string): boolean =>
  (event.type === 'member.left' || event.type === 'member.banned') && event.user === user

/** Whether an event puts a conversation into the list: a new one, or a hidden one. */
const addsToList = ({ type }: ConversationEvent): boolean =>
  type === 'conversation.created' || type === 'member.joined' || type === 'message.posted'

/**
 * Applies an event to the list. Returns false when the list has to be fetched again: for a new or hidden conversation,
 * or when the last message was deleted. The time of a conversation is that of its last message, or of the user's own
 * arrival if that is later: nothing else moves it in the list.
 */
export const applyToInbox = (inbox: Inbox, event: ConversationEvent, me: string): boolean => {
  const item = inbox.get(event.c)
  if (endsMembership(event, me)) {
    inbox.delete(event.c)
    return true
  }
  if (item === undefined) return !addsToList(event)
  if (event.seq <= item.head) return true
  const next: InboxItem = { ...item, head: event.seq }
  inbox.set(event.c, next)
  switch (event.type) {
    case 'message.posted': {
      const { seq, m, from, at, text } = event
      next.lastMessage = { seq, m, from, at, text }
      next.at = at
      if (from === me) {
        next.read = seq
        next.unread = 0
      } else next.unread++
      return true
    }
    case 'message.edited':
      if (item.lastMessage?.m === event.m) next.lastMessage = { ...item.lastMessage, text: event.text }
      return true
    case 'message.deleted':
      if ((event.messageSeq ?? 0) > item.read) next.unread = Math.max(0, item.unread - 1)
      return item.lastMessage?.m !== event.m
    case 'conversation.renamed':
      next.title = event.title
      return true
    case 'conversation.settings_changed':
      if (event.archived !== undefined) inbox.set(event.c, withArchived(next, event.archived))
      return true
    case 'member.joined':
      if (event.user === me) next.at = event.at
      return true
    default:
      return true
  }
}

const withArchived = ({ archived: _before, ...item }: InboxItem, archived: boolean): InboxItem =>
  archived ? { ...item, archived } : item

/**
 * Merges a page of the server's list; the first page replaces the list. Events and markers that arrived during the
 * request are kept.
 */
export const takePage = (inbox: Inbox, items: readonly InboxItem[], isFirst: boolean): void => {
  const known = new Map(inbox)
  if (isFirst) inbox.clear()
  for (const item of items) {
    const mine = known.get(item.c)
    inbox.set(item.c, mine === undefined ? item : later(mine, item))
  }
}

const later = (mine: InboxItem, item: InboxItem): InboxItem => {
  if (mine.head > item.head) return mine
  if (mine.read <= item.read) return item
  // With newer events, `unread` is right only once those have arrived.
  return mine.head === item.head ? { ...item, read: mine.read, unread: mine.unread } : mine
}

/** The user's marker moved, on this or another device. */
export const markInbox = (inbox: Inbox, mark: { c: string; unread: number; read: number }): void => {
  const item = inbox.get(mark.c)
  if (item !== undefined && mark.read >= item.read)
    inbox.set(mark.c, { ...item, read: mark.read, unread: mark.unread })
}

/** The latest message or arrival first. */
export const sorted = (inbox: Inbox): InboxItem[] =>
  [...inbox.values()].sort((a, b) => (a.at < b.at ? 1 : a.at > b.at ? -1 : a.c < b.c ? -1 : 1))

/** Returns a text without case, accents and width, for comparing. */
const folded = (text: string): string =>
  text
    .normalize('NFKD')
    .replace(/[\p{M}\p{Cf}]/gu, '')
    .toLowerCase()

/** Returns the conversations whose name contains all words of a query. */
export const filtered = (items: readonly InboxItem[], query: string): InboxItem[] => {
  const words = folded(query)
    .split(/\s+/)
    .filter(word => word !== '')
  return items.filter(item => {
    const name = folded(nameOf(item))
    return words.every(word => name.includes(word))
  })
}

export const unreadTotal = (inbox: Inbox): number => {
  let total = 0
  for (const item of inbox.values()) if (!item.muted) total += item.unread
  return total
}

/** Returns the displayed name of a conversation. */
export const nameOf = (item: Pick<InboxItem, 'c' | 'title' | 'peer'>): string =>
  item.title ?? item.peer ?? item.c
