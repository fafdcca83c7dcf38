import type { ConfabClient } from '../client/index.ts'
import type { BanItem, ConversationEvent, InvitationItem, MemberItem, Role } from '../events/index.ts'
import { Quotes } from './quotes.ts'
import { type Message, Timeline } from './timeline.ts'

const page = 50
/** Events kept of a conversation that is not open. */
const kept = 100

/** An opened conversation: a range of its timeline, at the end or further up, and its members. */
export class Room {
  readonly c: string
  readonly timeline = new Timeline()
  readonly #client: ConfabClient
  readonly #changed: () => void
  readonly #quotes: Quotes
  #members = new Map<string, MemberItem>()
  #bans = new Map<string, BanItem>()
  /** Invited users, with those who invited them. */
  #invited = new Map<string, Pick<InvitationItem, 'user' | 'by'>>()
  #turn = 0
  /** The highest known seq. */
  #head = 0
  /** The request in progress, if any. */
  loading: 'all' | 'older' | 'newer' | undefined
  loaded = false
  /** Whether there are more events before and after the loaded range. */
  older = false
  newer = false
  moreMembers = false
  /** The message to scroll to; the timeline clears it. */
  target: string | undefined
  /** Whether to scroll to the end; the timeline clears it. */
  wantsEnd = false
  /** The read marker at opening: later messages are new. */
  unreadAfter: number | undefined

  constructor(c: string, client: ConfabClient, changed: () => void) {
    this.c = c
    this.#client = client
    this.#changed = changed
    this.#quotes = new Quotes(c, client, this.timeline, changed)
  }

  get members(): readonly MemberItem[] {
    return [...this.#members.values()]
  }

  /** The banned users; empty until `loadBans`. */
  get bans(): readonly BanItem[] {
    return [...this.#bans.values()]
  }

  /** The invited users; empty until `loadInvitations`. */
  get invited(): readonly Pick<InvitationItem, 'user' | 'by'>[] {
    return [...this.#invited.values()]
  }

  roleOf(user: string): Role | undefined {
    return this.#members.get(user)?.role
  }

  /** Loads the end of the timeline. */
  async load(limit = page): Promise<void> {
    await this.#fetch('all', { limit: Math.min(200, Math.max(page, limit)) }, ({ events, head, more }) => {
      this.timeline.replace(events)
      this.older = more
      this.#knowEnd(head)
      this.#client.setCursor(this.c, head)
    })
  }

  async loadOlder(limit = page): Promise<void> {
    if (!this.older || this.loading !== undefined) return
    await this.#fetch('older', { before: this.timeline.first, limit }, ({ events, more }) => {
      this.timeline.prepend(events)
      this.older = more
    })
  }

  async loadNewer(): Promise<void> {
    if (!this.newer || this.loading !== undefined) return
    await this.#fetch('newer', { after: this.timeline.last, limit: page }, ({ events, head }) => {
      this.timeline.append(events)
      this.#knowEnd(head)
    })
  }

  /** Scrolls to a message; loads the events around it, unless they are loaded. Rejects with NOT_FOUND without one. */
  async jump(m: string): Promise<void> {
    if (this.timeline.message(m) === undefined)
      await this.#fetch('all', { around: m, limit: page }, ({ events, head, more }) => {
        this.timeline.replace(events)
        this.older = more
        this.#knowEnd(head)
      })
    this.target = m
    this.#changed()
  }

  /**
   * Returns a message that another one quotes; `null` if it does not exist. A message outside of the loaded range is
   * fetched: undefined until then.
   */
  quoted(m: string): Message | null | undefined {
    return this.timeline.message(m) ?? this.#quotes.of(m)
  }

  /** Loads the end of the timeline, unless it is loaded, and scrolls to it. */
  async latest(): Promise<void> {
    if (this.newer) await this.load()
    this.wantsEnd = true
    this.#changed()
  }

  async loadMembers(): Promise<void> {
    const { members, cursor } = await this.#client.request('members', { c: this.c, limit: 200 })
    this.#members = new Map(members.map(member => [member.user, member]))
    this.moreMembers = cursor !== undefined
    this.#changed()
  }

  /** Loads the banned users: only for owners and admins. */
  async loadBans(): Promise<void> {
    const { bans } = await this.#client.request('bans', { c: this.c, limit: 200 })
    this.#bans = new Map(bans.map(ban => [ban.user, ban]))
    this.#changed()
  }

  /** Loads the open invitations: only for owners and admins. */
  async loadInvitations(): Promise<void> {
    const { open } = await this.#client.request('invitations', { c: this.c, limit: 200 })
    this.#invited = new Map(open.map(item => [item.user, item]))
    this.#changed()
  }

  /** Handles a live event: appended if the end is loaded. */
  accept(event: ConversationEvent): void {
    this.#applyToMembers(event)
    this.#quotes.accept(event)
    this.#head = Math.max(this.#head, event.seq)
    if (!this.loaded || this.newer) return
    if (!this.timeline.append([event])) void this.load().catch(() => {})
  }

  receipt(user: string, read: number, delivered: number): void {
    const member = this.#members.get(user)
    if (member !== undefined) this.#members.set(user, { ...member, read, delivered })
  }

  /** The conversation is no longer shown: keeps only the end. */
  leave(): void {
    this.unreadAfter = undefined
    this.target = undefined
    this.wantsEnd = false
    this.#quotes.clear()
    if (this.newer) this.loaded = false
    else this.older = this.timeline.trim(kept) || this.older
  }

  /** The loaded range may have gaps: it is loaded again when shown. */
  invalidate(): void {
    this.#quotes.clear()
    this.loaded = false
  }

  /** Returns the users by the last message that each of them has read. */
  readers(me: string): Map<string, string[]> {
    const marks = [...this.#members.values()].filter(({ user, read }) => user !== me && (read ?? 0) > 0)
    const readers = new Map<string, string[]>()
    if (marks.length === 0 || marks.length > kept) return readers
    for (const { user, read = 0 } of marks) {
      const message = this.#lastMessage(read)
      if (message !== undefined && message.from !== user)
        readers.set(message.m, [...(readers.get(message.m) ?? []), user])
    }
    return readers
  }

  /** Events may have arrived during the request: loads what is missing at the end. */
  #knowEnd(head: number): void {
    this.#head = Math.max(this.#head, head)
    this.newer = this.timeline.last < this.#head
  }

  #lastMessage(seq: number): Message | undefined {
    const entries = this.timeline.entries
    for (let i = entries.length - 1; i >= 0; i--) {
      const entry = entries[i]
      if (entry?.kind === 'message' && entry.seq <= seq) return entry
    }
    return undefined
  }

  #applyToMembers(event: ConversationEvent): void {
    if ('user' in event) this.#invited.delete(event.user)
    if (event.type === 'conversation.settings_changed')
      for (const user of event.uninvited ?? []) this.#invited.delete(user)
    else if (event.type === 'member.invited')
      this.#invited.set(event.user, { user: event.user, by: event.from })
    else if (event.type === 'member.joined')
      this.#members.set(event.user, { user: event.user, role: event.role, read: 0, delivered: 0 })
    else if (event.type === 'member.role_changed') this.#setRole(event.user, event.role)
    else if (event.type === 'member.left') {
      this.#members.delete(event.user)
      if (event.successor !== undefined) this.#setRole(event.successor, 'owner')
    } else if (event.type === 'member.banned') {
      const { user, until } = event
      this.#members.delete(user)
      this.#bans.set(user, until === undefined ? { user } : { user, until })
    } else if (event.type === 'member.unbanned') this.#bans.delete(event.user)
    else if (event.type === 'message.posted') {
      const member = this.#members.get(event.from)
      if (member !== undefined) this.#members.set(event.from, { ...member, read: event.seq })
    }
  }

  #setRole(user: string, role: Role): void {
    const member = this.#members.get(user)
    if (member !== undefined) this.#members.set(user, { ...member, role })
  }

  /** Serialises requests. The answer to a request that a full load overtook is dropped. */
  async #fetch(
    what: 'all' | 'older' | 'newer',
    range: { before?: number; after?: number; around?: string; limit: number },
    take: (answer: { events: ConversationEvent[]; head: number; more: boolean }) => void,
  ): Promise<void> {
    const turn = ++this.#turn
    this.loading = what
    this.#changed()
    try {
      const answer = await this.#client.request('history', { c: this.c, ...range })
      if (turn !== this.#turn) return
      take(answer)
      this.loaded = true
    } finally {
      if (turn === this.#turn) this.loading = undefined
      this.#changed()
    }
  }
}
