import {
  type ConversationEvent,
  fingerprintOf,
  type InboxItem,
  type StoredEvent,
  type UserEvent,
} from '../../src/events/index.ts'
import type { RosterItem } from '../../src/projections/index.ts'
import { conversations, users, vocabulary } from './history.ts'

type Of<T extends ConversationEvent['type']> = Extract<ConversationEvent, { type: T }>

/** The expected contents of the views, computed literally from the whole history. */
export const modelOf = (streams: Record<string, readonly StoredEvent[]>) => {
  const stored = Object.values(streams).flat()
  const bodies = stored.map(
    ({ data }) => JSON.parse(Buffer.from(data).toString()) as ConversationEvent | UserEvent,
  )
  const eventsOf = (c: string) => bodies.filter((e): e is ConversationEvent => !('u' in e) && e.c === c)
  const userEvents = bodies.filter((e): e is UserEvent => 'u' in e)

  const membersOf = (c: string): Map<string, string> => {
    const roles = new Map<string, string>()
    for (const e of eventsOf(c)) {
      if (e.type === 'conversation.created') for (const { user, role } of e.members) roles.set(user, role)
      if (e.type === 'member.joined' || e.type === 'member.role_changed') roles.set(e.user, e.role)
      if (e.type === 'member.banned') roles.delete(e.user)
      if (e.type === 'member.left') {
        roles.delete(e.user)
        if (e.successor !== undefined) roles.set(e.successor, 'owner')
      }
    }
    return roles
  }
  /** Returns the last event of a user's own log about following a channel. */
  const follow = (user: string, c: string) =>
    userEvents.findLast(
      e => e.u === user && (e.type === 'channel.followed' || e.type === 'channel.unfollowed') && e.c === c,
    )
  const follows = (user: string, c: string): boolean => follow(user, c)?.type === 'channel.followed'
  const isIn = (user: string, c: string): boolean => membersOf(c).has(user) || follows(user, c)
  const isInvited = (user: string, c: string): boolean => {
    let invited = false
    for (const e of eventsOf(c)) {
      if (e.type === 'conversation.created') invited = e.invited?.includes(user) === true
      else if (e.type === 'member.invited') invited ||= e.user === user
      else if (e.type === 'conversation.settings_changed') invited &&= e.uninvited?.includes(user) !== true
      else if ('user' in e && e.type !== 'member.unbanned' && e.user === user) invited = false
    }
    return invited
  }
  const mark = (user: string, c: string, type: 'read.marked' | 'delivered.marked'): number =>
    Math.max(0, ...userEvents.map(e => (e.u === user && e.type === type && e.c === c ? e.mark : 0)))

  const posted = (c: string) =>
    eventsOf(c).filter((e): e is Of<'message.posted'> => e.type === 'message.posted')
  const isDeleted = (c: string, m: string) => eventsOf(c).some(e => e.type === 'message.deleted' && e.m === m)
  const textOf = (message: Of<'message.posted'>): string =>
    eventsOf(message.c)
      .filter((e): e is Of<'message.edited'> => e.type === 'message.edited' && e.m === message.m)
      .at(-1)?.text ?? message.text
  const standing = (c: string) => posted(c).filter(({ m }) => !isDeleted(c, m))

  const item = (user: string, c: string): InboxItem | undefined => {
    const events = eventsOf(c)
    const created = events[0]
    const head = events.at(-1)
    if (!isIn(user, c) || created?.type !== 'conversation.created' || head === undefined) return undefined
    const title = events.findLast(e => e.type === 'conversation.renamed')?.title ?? created.title ?? null
    const last = standing(c).at(-1)
    const own = posted(c).findLast(({ from }) => from === user)?.seq ?? 0
    const came = events.findLast(e => e.type === 'member.joined' && e.user === user)?.seq ?? 0
    const followed = Math.max(
      0,
      ...userEvents.map(e => (e.u === user && e.type === 'channel.followed' && e.c === c ? e.head : 0)),
    )
    const read = Math.max(own, came, followed, mark(user, c, 'read.marked'))
    const arrivals = [
      ...events.filter(
        e =>
          (e.type === 'member.joined' && e.user === user) ||
          (e.type === 'conversation.created' && e.members.some(member => member.user === user)),
      ),
      ...userEvents.filter(e => e.u === user && e.type === 'channel.followed' && e.c === c),
    ]
    const listed = [posted(c).at(-1)?.at ?? '', ...arrivals.map(event => event.at)].sort()
    const mute = userEvents.findLast(
      e =>
        e.u === user &&
        'c' in e &&
        e.c === c &&
        (e.type === 'conversation.muted' || e.type === 'conversation.unmuted'),
    )
    const archived = events.findLast(e => e.type === 'conversation.settings_changed' && 'archived' in e)
    const peer = created.members.find(member => member.user !== user)?.user
    return {
      c,
      kind: created.kind,
      title,
      head: head.seq,
      lastMessage: last
        ? { seq: last.seq, m: last.m, from: last.from, at: last.at, text: textOf(last) }
        : null,
      unread: standing(c).filter(({ seq }) => seq > read).length,
      read,
      at: listed.at(-1) ?? '',
      muted: mute?.type === 'conversation.muted',
      ...(archived?.type === 'conversation.settings_changed' && archived.archived ? { archived: true } : {}),
      ...(created.kind === 'direct' && peer !== undefined ? { peer } : {}),
    }
  }
  /** Whether the user has hidden a conversation since its last message and the user's last arrival. */
  const isHidden = (user: string, c: string): boolean => {
    const last = userEvents.findLast(
      e =>
        e.u === user &&
        'c' in e &&
        e.c === c &&
        (e.type === 'conversation.hidden' ||
          e.type === 'conversation.unhidden' ||
          e.type === 'channel.followed'),
    )
    return (
      last?.type === 'conversation.hidden' &&
      eventsOf(c)
        .slice(last.head)
        .every(e => e.type !== 'message.posted' && !(e.type === 'member.joined' && e.user === user))
    )
  }
  const undelivered = (user: string) =>
    [...conversations].sort().flatMap(c => {
      const read = item(user, c)?.read
      if (read === undefined) return []
      const got = Math.max(read, mark(user, c, 'delivered.marked'))
      return standing(c)
        .filter(({ seq }) => seq > got)
        .map(({ seq, m, from, at }) => ({ c, seq, m, from, at }))
    })
  const inbox = (user: string): InboxItem[] =>
    conversations
      .filter(c => !isHidden(user, c))
      .map(c => item(user, c))
      .filter(entry => entry !== undefined)
      .sort((a, b) => (a.at < b.at ? 1 : a.at > b.at ? -1 : a.c < b.c ? -1 : 1))

  const members = (c: string): RosterItem[] =>
    [...new Set([...membersOf(c).keys(), ...users.filter(user => follows(user, c))])].sort().map(user => {
      const role = membersOf(c).get(user) ?? 'member'
      const read = mark(user, c, 'read.marked')
      // A read message counts as delivered.
      const delivered = Math.max(read, mark(user, c, 'delivered.marked'))
      return {
        user,
        role: role as RosterItem['role'],
        ...(follows(user, c) ? { follows: true as const } : {}),
        ...(read > 0 ? { read } : {}),
        ...(delivered > 0 ? { delivered } : {}),
      }
    })

  /** Returns `c seq` of the messages with these words of the vocabulary in a row, in any order. */
  const found = (words: readonly number[], among: readonly string[]): string[] => {
    const key = (i: number) =>
      vocabulary[i]?.[1]
        .normalize('NFD')
        .replace(/[\u0300-\u036f]/g, '')
        .toLowerCase()
    const wanted = words.map(key)
    return among.flatMap(c =>
      standing(c)
        .filter(message => {
          const text = textOf(message)
            .split(' ')
            .map(typed => key(vocabulary.findIndex(([t]) => t === typed)))
          return text.some((_, i) => wanted.every((word, j) => text[i + j] === word))
        })
        .map(({ seq }) => `${c} ${seq}`),
    )
  }

  return {
    all: {
      timeline: conversations.map(c => eventsOf(c)),
      heads: conversations.map(c => {
        const last = stored.filter(({ aggregate }) => aggregate.id === c).at(-1)
        return last && { seq: last.envelope.seq, streamSeq: last.streamSeq }
      }),
      messages: conversations.map(c =>
        posted(c).map(event => {
          const { m, seq, from, at } = event
          return { m, seq, from, at, deleted: isDeleted(c, m), fingerprint: fingerprintOf(event) }
        }),
      ),
      inboxes: users.map(inbox),
      undelivered: users.map(undelivered),
      items: users.map(user => conversations.map(c => item(user, c))),
      members: conversations.map(members),
      conversationsOf: users.map(user => conversations.filter(c => isIn(user, c)).sort()),
      invitationsOf: users.map(user => conversations.filter(c => isInvited(user, c)).sort()),
    },
    found,
    standing,
  }
}
