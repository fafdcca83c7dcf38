import {
  type ConversationEvent,
  type ConversationEventType,
  fingerprintOf,
  type RecordedContent,
} from '../../events/index.ts'
import type { MessageRef } from '../ports/message-lookup.ts'

/** A recent event other than a posted message. */
interface RecentChange {
  readonly seq: number
  readonly commandId: string
  /** Absent: an unknown type, or recorded by a build that did not keep it. */
  readonly type?: ConversationEventType
  readonly fingerprint?: number
  /** Id of the message that the event deleted. */
  readonly deletes?: string
  /** Key of the reaction that the event added or removed. */
  readonly reaction?: string
  readonly on?: boolean
}

type RecentEvent = MessageRef | RecentChange

/**
 * The last `capacity` events of a conversation. Repeated commands, recent messages and recent reactions are found here
 * without reading the log. Only `remember` changes it, in place; a MessageRef is replaced, never changed.
 */
export interface RecentEvents {
  readonly capacity: number
  /** seq of the first event that can be here: 1. A fork starts with the oldest event that its original held. */
  readonly first: number
  /** The event with a given seq is at index seq mod capacity: seq has no gaps. */
  readonly slots: RecentEvent[]
  /** seq of the last event. */
  head: number
  /** seq of the oldest event that is here; 1: all events of the conversation are here. */
  oldest: number
  /** Command id to event. Without `send` commands: those are found by message id and sender. */
  readonly commands: Map<string, RecentChange>
  readonly messages: Map<string, MessageRef>
  /** Messages that a recent event deleted, whenever they were posted: message id to seq of the deletion. */
  readonly deletions: Map<string, number>
  readonly reactions: Map<string, { readonly seq: number; readonly on: boolean }>
}

/** Default capacity, events. */
export const recentCapacity = 128

export const noRecentEvents = (capacity = recentCapacity): RecentEvents => ({
  capacity,
  first: 1,
  slots: [],
  head: 0,
  oldest: 1,
  commands: new Map(),
  messages: new Map(),
  deletions: new Map(),
  reactions: new Map(),
})

export const reactionKey = (m: string, from: string, emoji: string): string => `${m} ${from} ${emoji}`

/**
 * Adds the next event, and removes the oldest one beyond `capacity`. Returns the removed event when it posted a
 * message.
 */
export const remember = (
  recent: RecentEvents,
  event: ConversationEvent,
  commandId: string,
): MessageRef | undefined => put(recent, entryOf(event, commandId))

/** As `remember`, for an event whose type this build does not know. */
export const rememberUnknown = (
  recent: RecentEvents,
  seq: number,
  commandId: string,
): MessageRef | undefined => put(recent, { seq, commandId })

const entryOf = (event: ConversationEvent, commandId: string): RecentEvent => {
  const { seq, type } = event
  const fingerprint = fingerprintOf(event)
  switch (type) {
    case 'message.posted':
      return { m: event.m, seq, from: event.from, at: event.at, deleted: false, fingerprint }
    case 'message.deleted':
      return { seq, commandId, type, fingerprint, deletes: event.m }
    case 'reaction.added':
    case 'reaction.removed': {
      const reaction = reactionKey(event.m, event.from, event.emoji)
      return { seq, commandId, type, fingerprint, reaction, on: type === 'reaction.added' }
    }
    default:
      return { seq, commandId, type, fingerprint }
  }
}

const put = (recent: RecentEvents, entry: RecentEvent): MessageRef | undefined => {
  const slot = entry.seq % recent.capacity
  const oldest = recent.slots[slot]
  if (oldest !== undefined) forget(recent, oldest)
  recent.slots[slot] = entry
  recent.head = entry.seq
  recent.oldest = Math.max(recent.first, entry.seq - recent.capacity + 1)
  const forgotten = oldest !== undefined && 'm' in oldest ? oldest : undefined
  if ('m' in entry) {
    recent.messages.set(entry.m, entry)
    return forgotten
  }
  recent.commands.set(entry.commandId, entry)
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
  if (recent.commands.get(commandId)?.seq === seq) recent.commands.delete(commandId)
  if (deletes !== undefined && recent.deletions.get(deletes) === seq) recent.deletions.delete(deletes)
  if (reaction !== undefined && recent.reactions.get(reaction)?.seq === seq) recent.reactions.delete(reaction)
}

/** Returns the content of a recent event; undefined when any content counts as the same. */
export const recordedContent = ({ type, fingerprint }: RecentChange): RecordedContent | undefined =>
  type === undefined ? undefined : { type, fingerprint }

/**
 * Returns the different reactions of a message among the recent events: those of all users, and how many of them one
 * user has. Of a message that is itself a recent event, these are all reactions.
 */
export const reactionsOf = (
  recent: RecentEvents,
  m: string,
  user: string,
): { readonly emojis: ReadonlySet<string>; readonly own: number } => {
  const prefix = `${m} `
  const emojis = new Set<string>()
  let own = 0
  for (const [key, { on }] of recent.reactions) {
    if (!on || !key.startsWith(prefix)) continue
    const end = key.indexOf(' ', prefix.length)
    emojis.add(key.slice(end + 1))
    if (key.slice(prefix.length, end) === user) own++
  }
  return { emojis, own }
}

/** Returns a copy that evolves independently and forgets nothing for the next `more` events. */
export const forkRecent = (recent: RecentEvents, more: number): RecentEvents => {
  const capacity = recent.capacity + more
  const first = recent.oldest
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
    oldest: first,
    commands: new Map(recent.commands),
    messages: new Map(recent.messages),
    deletions: new Map(recent.deletions),
    reactions: new Map(recent.reactions),
  }
}

/**
 * Returns the events for JSON, oldest first. A deleted message is written as posted: replaying its deletion deletes
 * it again.
 */
export const serialiseRecent = (recent: RecentEvents): RecentEvent[] => {
  const entries: RecentEvent[] = []
  for (let seq = recent.oldest; seq <= recent.head; seq++) {
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
