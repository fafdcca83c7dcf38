import type { Attachment, ConversationEvent } from '../events/index.ts'

export interface Reaction {
  readonly emoji: string
  /** The users that reacted, first one first. */
  readonly users: readonly string[]
}

/** The current state of a message. Replaced by a new object on each change. */
export interface Message {
  readonly kind: 'message'
  readonly m: string
  readonly seq: number
  readonly from: string
  readonly at: string
  readonly text: string
  readonly replyTo?: string
  readonly attachments: readonly Attachment[]
  readonly reactions: readonly Reaction[]
  readonly edited: boolean
  readonly deleted: boolean
}

type NoticeEvent = Exclude<ConversationEvent, { m: string }>

/** Events that are rows of their own. Events of other types, also of types that are not known here, are no rows. */
const noticeTypes: ReadonlySet<string> = new Set<NoticeEvent['type']>([
  'conversation.created',
  'conversation.renamed',
  'conversation.settings_changed',
  'member.joined',
  'member.left',
  'member.role_changed',
  'member.banned',
  'member.unbanned',
  'member.invited',
  'member.uninvited',
])

/** An event about the conversation itself. */
export interface Notice {
  readonly kind: 'notice'
  readonly seq: number
  readonly at: string
  readonly event: NoticeEvent
}

export type Entry = Message | Notice

/**
 * A range of a conversation's events without gaps, and its visible state: edits, deletions and reactions applied to
 * their messages.
 */
export class Timeline {
  #events: ConversationEvent[] = []
  #entries: Entry[] = []
  #places = new Map<string, number>()
  #version = 0

  /** Changes with the entries. */
  get version(): number {
    return this.#version
  }

  get entries(): readonly Entry[] {
    return this.#entries
  }

  /** seq of the first event; 0 if there is none. */
  get first(): number {
    return this.#events[0]?.seq ?? 0
  }

  /** seq of the last event; 0 if there is none. */
  get last(): number {
    return this.#events.at(-1)?.seq ?? 0
  }

  message(m: string): Message | undefined {
    const entry = this.#entries[this.#places.get(m) ?? -1]
    return entry?.kind === 'message' ? entry : undefined
  }

  /** Returns how many messages after a seq count as unread for a user: those of others that are not deleted. */
  unreadAfter(seq: number, user: string): number {
    let count = 0
    for (let i = this.#entries.length - 1; i >= 0; i--) {
      const entry = this.#entries[i]!
      if (entry.seq <= seq) break
      if (entry.kind === 'message' && entry.from !== user && !entry.deleted) count++
    }
    return count
  }

  /** Returns the loaded changes of a message that may not be loaded itself. */
  changesOf(m: string): ConversationEvent[] {
    return this.#events.filter(event => 'm' in event && event.m === m)
  }

  /** Appends newer events; known ones are skipped. Returns false and stops at a gap. */
  append(events: readonly ConversationEvent[]): boolean {
    for (const event of events) {
      if (this.#events.length > 0 && event.seq <= this.last) continue
      if (this.#events.length > 0 && event.seq !== this.last + 1) return false
      this.#events.push(event)
      this.#apply(event)
    }
    return true
  }

  /** Prepends older events that end right before the first. Later changes of their messages are applied. */
  prepend(events: readonly ConversationEvent[]): void {
    const older = events.filter(event => event.seq < this.first)
    this.#refold([...older, ...this.#events])
  }

  replace(events: readonly ConversationEvent[]): void {
    this.#refold([...events])
  }

  /** Drops all but the last `count` events. Returns whether there were more. */
  trim(count: number): boolean {
    if (this.#events.length <= count) return false
    this.#refold(this.#events.slice(-count))
    return true
  }

  #refold(events: ConversationEvent[]): void {
    this.#events = events
    this.#entries = []
    this.#places = new Map()
    this.#version++
    for (const event of events) this.#apply(event)
  }

  #apply(event: ConversationEvent): void {
    this.#version++
    switch (event.type) {
      case 'message.posted': {
        const { m, seq, from, at, text, replyTo, attachments = [], editedAt, deleted = false } = event
        this.#places.set(m, this.#entries.length)
        this.#entries.push({
          kind: 'message',
          m,
          seq,
          from,
          at,
          text,
          attachments,
          reactions: [],
          edited: editedAt !== undefined,
          deleted,
          ...(replyTo === undefined ? {} : { replyTo }),
        })
        break
      }
      case 'message.edited':
        this.#change(event.m, message => ({ ...message, text: event.text, edited: true }))
        break
      case 'message.deleted':
        this.#change(event.m, message => ({
          ...message,
          text: '',
          attachments: [],
          reactions: [],
          deleted: true,
        }))
        break
      case 'reaction.added':
      case 'reaction.removed':
        this.#change(event.m, message => ({
          ...message,
          reactions: react(message.reactions, event.emoji, event.from, event.type === 'reaction.added'),
        }))
        break
      default:
        if (noticeTypes.has(event.type))
          this.#entries.push({ kind: 'notice', seq: event.seq, at: event.at, event })
    }
  }

  /** A change of a message that is not loaded is kept with the events and applied when the message is loaded. */
  #change(m: string, change: (message: Message) => Message): void {
    const place = this.#places.get(m)
    const entry = place === undefined ? undefined : this.#entries[place]
    if (place !== undefined && entry?.kind === 'message' && !entry.deleted)
      this.#entries[place] = change(entry)
  }
}

const react = (reactions: readonly Reaction[], emoji: string, user: string, on: boolean): Reaction[] => {
  const known = reactions.some(reaction => reaction.emoji === emoji)
  const all = known ? reactions : [...reactions, { emoji, users: [] }]
  return all
    .map(reaction => {
      if (reaction.emoji !== emoji) return reaction
      const others = reaction.users.filter(other => other !== user)
      return { emoji, users: on ? [...others, user] : others }
    })
    .filter(reaction => reaction.users.length > 0)
}
