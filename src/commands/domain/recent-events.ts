import type { ConversationEvent } from '../../events/index.ts'
import type { MessageRef } from '../ports/message-lookup.ts'

/** What is remembered of a recent event that posted no message. */
interface RecentChange {
  readonly seq: number
  readonly commandId: string
  /** The message that it deleted. */
  readonly deletes?: string
  /** The reaction that it added or removed. */
  readonly reaction?: string
  readonly on?: boolean
}

type RecentEvent = MessageRef | RecentChange

/**
 * The tail of a conversation: its last events, at most `capacity`, so that a repeated command, a recent message and a recent reaction are known without reading
 * anything. Changed in place by `remember` only; MessageRefs are never changed, but replaced.
 */
export interface RecentEvents {
  readonly capacity: number
  /** seq of the first event that can be remembered: 1, but for a fork, which has only what was remembered when it was made. */
  readonly first: number
  /** The event of a seq is at seq mod capacity: seq has no gaps. */
  readonly slots: RecentEvent[]
  /** seq of the last event. */
  head: number
  /** Command id to seq; a message's command is found by its id and sender. */
  readonly commands: Map<string, number>
  readonly messages: Map<string, MessageRef>
  /** Messages, posted at any time, that were deleted by a recent event: id to seq of the deletion. */
  readonly deletions: Map<string, number>
  readonly reactions: Map<string, { readonly seq: number; readonly on: boolean }>
}

/** Events that are remembered of a conversation. */
export const recentCapacity = 128

export const noRecentEvents = (capacity = recentCapacity): RecentEvents => ({
  capacity,
  first: 1,
  slots: [],
  head: 0,
  commands: new Map(),
  messages: new Map(),
  deletions: new Map(),
  reactions: new Map(),
})

/** seq of the oldest event that is remembered: 1 when that is all there ever was. */
export const oldestOf = (recent: RecentEvents): number =>
  Math.max(recent.first, recent.head - recent.capacity + 1)

export const isWhole = (recent: RecentEvents): boolean => oldestOf(recent) === 1

export const reactionKey = (m: string, from: string, emoji: string): string => `${m} ${from} ${emoji}`

/** Takes the next event in; the oldest is forgotten when there are more than `capacity`. Returns the id of the message that is forgotten by it. */
export const remember = (
  recent: RecentEvents,
  event: ConversationEvent,
  commandId: string,
): string | undefined => put(recent, entryOf(event, commandId))

const entryOf = (event: ConversationEvent, commandId: string): RecentEvent => {
  const { seq } = event
  switch (event.type) {
    case 'message.posted':
      return { m: event.m, seq, from: event.from, at: event.at, deleted: false }
    case 'message.deleted':
      return { seq, commandId, deletes: event.m }
    case 'reaction.added':
    case 'reaction.removed': {
      const reaction = reactionKey(event.m, event.from, event.emoji)
      return { seq, commandId, reaction, on: event.type === 'reaction.added' }
    }
    default:
      return { seq, commandId }
  }
}

const put = (recent: RecentEvents, entry: RecentEvent): string | undefined => {
  const slot = entry.seq % recent.capacity
  const gone = recent.slots[slot]
  if (gone !== undefined) forget(recent, gone)
  recent.slots[slot] = entry
  recent.head = entry.seq
  const forgotten = gone !== undefined && 'm' in gone ? gone.m : undefined
  if ('m' in entry) {
    recent.messages.set(entry.m, entry)
    return forgotten
  }
  recent.commands.set(entry.commandId, entry.seq)
  if (entry.deletes !== undefined) {
    recent.deletions.set(entry.deletes, entry.seq)
    const message = recent.messages.get(entry.deletes)
    if (message !== undefined) recent.messages.set(entry.deletes, { ...message, deleted: true })
  }
  if (entry.reaction !== undefined)
    recent.reactions.set(entry.reaction, { seq: entry.seq, on: entry.on === true })
  return forgotten
}

const forget = (recent: RecentEvents, entry: RecentEvent): void => {
  if ('m' in entry) {
    recent.messages.delete(entry.m)
    return
  }
  const { seq, commandId, deletes, reaction } = entry
  if (recent.commands.get(commandId) === seq) recent.commands.delete(commandId)
  if (deletes !== undefined && recent.deletions.get(deletes) === seq) recent.deletions.delete(deletes)
  if (reaction !== undefined && recent.reactions.get(reaction)?.seq === seq) recent.reactions.delete(reaction)
}

/** A tail that goes on by itself from here, and forgets nothing for `more` events. */
export const forkRecent = (recent: RecentEvents, more: number): RecentEvents => {
  const capacity = recent.capacity + more
  const first = oldestOf(recent)
  const slots: RecentEvent[] = []
  for (let seq = first; seq <= recent.head; seq++) {
    const entry = recent.slots[seq % recent.capacity]
    if (entry !== undefined) slots[seq % capacity] = entry
  }
  return {
    capacity,
    first,
    slots,
    head: recent.head,
    commands: new Map(recent.commands),
    messages: new Map(recent.messages),
    deletions: new Map(recent.deletions),
    reactions: new Map(recent.reactions),
  }
}

/** As JSON, oldest first. A message that a later event deleted is written as it was posted: reading the rest deletes it again. */
export const serialiseRecent = (recent: RecentEvents): RecentEvent[] => {
  const entries: RecentEvent[] = []
  for (let seq = oldestOf(recent); seq <= recent.head; seq++) {
    const entry = recent.slots[seq % recent.capacity]
    if (entry !== undefined) entries.push(entry)
  }
  return entries
}

export const deserialiseRecent = (
  entries: readonly RecentEvent[],
  capacity = recentCapacity,
): RecentEvents => {
  const recent = noRecentEvents(capacity)
  for (const entry of entries) put(recent, entry)
  return recent
}
