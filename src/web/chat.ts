import { type ConfabClient, RequestError } from '../client/index.ts'
import type { ConversationEvent, Kind, Presence, Role } from '../events/index.ts'
import { Connectivity } from './connectivity.ts'
import { Drafts } from './drafts.ts'
import { applyToInbox, endsMembership, type Inbox, markInbox, takePage } from './inbox.ts'
import { Invitations } from './invitations.ts'
import { MediaUrls } from './media-urls.ts'
import { Notifications } from './notifications.ts'
import { ReadMarks } from './read-marks.ts'
import { Room } from './room.ts'
import { TypingTeller, Typists } from './typing.ts'
import { Uploads } from './uploads.ts'

/** Maximum number of users whose presence the server reports. */
const watchLimit = 200
/** Maximum number of opened conversations that are kept. */
const roomLimit = 20
/** How long a problem is shown, ms: enough to read it. */
const problemMs = 10_000

const problemOf = (error: unknown): string => (RequestError.is(error) ? error.message : String(error))

/** The state of the page, updated by a client's events. One listener, called once per turn of the loop. */
export class Chat {
  readonly client: ConfabClient
  readonly inbox: Inbox = new Map()
  readonly typists: Typists
  readonly presence = new Map<string, Presence>()
  /** Users who have read a message since the page was loaded. */
  readonly #readers = new Set<string>()
  readonly connectivity: Connectivity
  readonly notifications: Notifications
  readonly marks: ReadMarks
  readonly uploads: Uploads
  readonly mediaUrls: MediaUrls
  readonly invitations: Invitations
  readonly #rooms = new Map<string, Room>()
  readonly #teller: TypingTeller
  readonly #onEvent = new Set<(event: ConversationEvent) => void>()
  readonly #storage: Storage | undefined
  #drafts: Drafts | undefined
  #listener: () => void = () => {}
  #told = true
  #inboxTimer: ReturnType<typeof setTimeout> | undefined
  #problemTimer: ReturnType<typeof setTimeout> | undefined
  inboxLoaded = false
  inboxCursor: string | undefined
  room: Room | undefined
  /** The last error, shown until it is dismissed or some time has passed. */
  problem: { readonly text: string } | undefined
  /** Why the client gave up. */
  ended: string | undefined

  constructor(client: ConfabClient, storage: Storage | undefined) {
    this.client = client
    this.#storage = storage
    this.connectivity = new Connectivity(client, this.changed)
    this.typists = new Typists(this.changed)
    this.#teller = new TypingTeller((c, on) => void client.request('typing', { c, on }).catch(() => {}))
    this.marks = new ReadMarks(client, this.inbox, this.changed)
    this.uploads = new Uploads(client, this.changed)
    this.mediaUrls = new MediaUrls(client)
    this.invitations = new Invitations(client, this.changed)
    this.notifications = new Notifications(this, storage)
    client.on('state', this.changed)
    client.on('pending', this.changed)
    client.on('hello', () => this.#connected())
    client.on('event', event => this.#take(event))
    client.on('inbox', mark => {
      markInbox(this.inbox, mark)
      this.changed()
    })
    client.on('signal', signal => {
      if (signal.type === 'typing')
        this.typists.set(signal.c, signal.user, signal.on && signal.user !== this.me)
      else if (signal.type === 'presence') this.presence.set(signal.user, signal.state)
      else if (signal.type === 'receipt') {
        this.#rooms.get(signal.c)?.receipt(signal.user, signal.read, signal.delivered)
        this.#mayBeContact(signal.user)
      }
      this.changed()
    })
    client.on('refetch', ({ c, head, reason }) => {
      this.#rooms.get(c)?.invalidate()
      if (reason === 'not_member') this.#gone(c)
      else if (this.room?.c === c) void this.attempt(this.room.load())
      else client.setCursor(c, head)
      this.#refreshInboxSoon()
    })
    client.on('error', error => {
      if (client.state === 'closed') this.ended = error.message
      this.changed()
    })
  }

  get me(): string {
    return this.client.user ?? ''
  }

  /** The drafts of the user; only after the first hello, which names the user. */
  get drafts(): Drafts {
    this.#drafts ??= new Drafts(this.me, this.#storage)
    return this.#drafts
  }

  /** `listener` is called once for all changes of a turn. */
  subscribe(listener: () => void): void {
    this.#listener = listener
  }

  /** Calls the listener with events as they arrive, for announcements. */
  onEvent(listener: (event: ConversationEvent) => void): () => void {
    this.#onEvent.add(listener)
    return () => this.#onEvent.delete(listener)
  }

  readonly changed = (): void => {
    if (!this.#told) return
    this.#told = false
    queueMicrotask(() => {
      this.#told = true
      this.#listener()
    })
  }

  /** Shows an error when an action of the user fails. Resolves with whether it succeeded. */
  async attempt(doing: Promise<unknown>): Promise<boolean> {
    try {
      await doing
      return true
    } catch (error) {
      this.#report(error)
      return false
    }
  }

  dismiss(): void {
    clearTimeout(this.#problemTimer)
    this.problem = undefined
    this.changed()
  }

  /** Keeps the problem while it is held; starts its time anew otherwise. */
  holdProblem(held: boolean): void {
    clearTimeout(this.#problemTimer)
    if (!held && this.problem !== undefined) this.#problemTimer = setTimeout(() => this.dismiss(), problemMs)
  }

  open(c: string | undefined): void {
    if (this.room?.c === c) return
    this.#teller.stopped()
    this.room?.leave()
    this.room = c === undefined ? undefined : this.#roomOf(c)
    if (this.room !== undefined && this.client.state === 'open') this.#enter(this.room)
    this.changed()
  }

  typed(c: string, text: string): void {
    const isEdit = this.drafts.get(c).edit !== undefined
    this.drafts.write(c, text)
    if (isEdit) return
    if (text.trim() === '') this.#teller.stopped()
    else this.#teller.typed(c)
  }

  /** Sends the draft of a conversation with the files that are ready. */
  send(c: string): void {
    const { text, reply } = this.drafts.get(c)
    this.drafts.sent(c)
    this.#teller.stopped()
    const room = this.#rooms.get(c)
    if (room !== undefined) {
      room.unreadAfter = undefined
      room.wantsEnd = true
      if (room.newer) void this.attempt(room.latest())
    }
    const attachments = this.uploads.take(c)
    this.client
      .send(c, text, { ...(reply === undefined ? {} : { replyTo: reply.m }), attachments })
      .catch(() => {})
    this.changed()
  }

  /** Sends the edit that the composer shows. A refused edit stays a draft. */
  async saveEdit(c: string): Promise<void> {
    const edit = this.drafts.submit(c)
    if (edit === undefined) return
    this.changed()
    const { m } = edit.target
    try {
      await this.client.request('edit', { c, m, text: edit.text })
      this.drafts.saved(c, m)
      this.changed()
    } catch (error) {
      this.drafts.refused(c, edit, problemOf(error))
      this.#report(error)
    }
  }

  delete = (c: string, m: string) => this.attempt(this.client.request('delete', { c, m }))
  react = (c: string, m: string, emoji: string, on: boolean) =>
    this.attempt(this.client.request('react', { c, m, emoji, on }))
  invite = (c: string, user: string) => this.attempt(this.client.request('invite', { c, user }))
  remove = (c: string, user: string) => this.attempt(this.client.request('remove', { c, user }))
  ban = (c: string, user: string) => this.attempt(this.client.request('ban', { c, user }))
  unban = (c: string, user: string) => this.attempt(this.client.request('unban', { c, user }))
  archive = (c: string, archived: boolean) => this.attempt(this.client.request('settings', { c, archived }))
  /** Takes a conversation out of the list until there is a new message. */
  hide = async (c: string): Promise<boolean> => {
    if (!(await this.attempt(this.client.request('hide', { c, on: true })))) return false
    this.#gone(c)
    return true
  }
  role = (c: string, user: string, role: Role) => this.attempt(this.client.request('role', { c, user, role }))
  rename = (c: string, title: string) => this.attempt(this.client.request('rename', { c, title }))
  mute = async (c: string, on: boolean): Promise<void> => {
    if (!(await this.attempt(this.client.request('mute', { c, on })))) return
    const item = this.inbox.get(c)
    if (item !== undefined) this.inbox.set(c, { ...item, muted: on })
    this.changed()
  }
  join = (c: string) => this.attempt(this.client.request('join', { c }))
  leave = (c: string) => this.attempt(this.client.request('leave', { c }))
  answerInvitation = (c: string, accepts: boolean) => this.attempt(this.invitations.answer(c, accepts))
  create = (fields: { c: string; kind: Kind; title?: string; members: string[] }) =>
    this.attempt(this.client.request('create', fields))

  /** Returns the direct conversation with a user; undefined after an error, which the chat shows. */
  async direct(user: string): Promise<string | undefined> {
    let c: string | undefined
    const opening = this.client.direct(user).then(answer => {
      c = answer.c
      // It may have been hidden.
      if (!this.inbox.has(answer.c)) this.#refreshInboxSoon()
    })
    await this.attempt(opening)
    return c
  }

  async moreInbox(): Promise<void> {
    const cursor = this.inboxCursor
    if (cursor === undefined) return
    this.inboxCursor = undefined
    await this.#fetchInbox(cursor)
  }

  #report(error: unknown): void {
    this.problem = { text: problemOf(error) }
    this.holdProblem(false)
    this.changed()
  }

  close(): void {
    clearTimeout(this.#inboxTimer)
    clearTimeout(this.#problemTimer)
    this.connectivity.close()
    this.notifications.close()
    this.invitations.close()
    this.uploads.close()
    this.#listener = () => {}
    this.client.close()
  }

  #roomOf(c: string): Room {
    const room = this.#rooms.get(c) ?? new Room(c, this.client, this.changed)
    this.#rooms.delete(c)
    this.#rooms.set(c, room)
    const oldest = this.#rooms.keys().next()
    if (this.#rooms.size > roomLimit && !oldest.done) this.#rooms.delete(oldest.value)
    return room
  }

  #connected(): void {
    void this.#fetchInbox().then(() => {
      if (this.room !== undefined) this.#enter(this.room)
      this.#watch()
    })
  }

  #enter(room: Room): void {
    const item = this.inbox.get(room.c)
    if (item !== undefined && item.unread > 0) room.unreadAfter ??= item.read
    if (!room.loaded)
      void this.attempt(room.load((item?.unread ?? 0) + 20)).then(well => {
        // The address may name a conversation that the user cannot see.
        if (!well && !this.inbox.has(room.c) && this.client.state === 'open') this.#gone(room.c)
      })
    room.loadMembers().then(
      () => this.#watch(),
      () => {},
    )
  }

  async #fetchInbox(cursor?: string): Promise<void> {
    try {
      const answer = await this.client.request('inbox', { limit: 100, ...(cursor ? { cursor } : {}) })
      takePage(this.inbox, answer.items, cursor === undefined)
      this.inboxCursor = answer.cursor
      this.inboxLoaded = true
      this.changed()
    } catch {
      // Repeated at the next hello.
    }
  }

  #refreshInboxSoon(): void {
    this.#inboxTimer ??= setTimeout(() => {
      this.#inboxTimer = undefined
      void this.#fetchInbox().then(() => this.#watch())
    }, 200)
  }

  #take(event: ConversationEvent): void {
    if (!applyToInbox(this.inbox, event, this.me)) this.#refreshInboxSoon()
    this.invitations.take(event, this.me)
    if (event.type === 'message.posted') this.typists.set(event.c, event.from, false)
    if (endsMembership(event, this.me)) this.#gone(event.c)
    this.#rooms.get(event.c)?.accept(event)
    if (event.type === 'member.joined' && event.c === this.room?.c) this.#watch()
    for (const listener of this.#onEvent) listener(event)
    this.changed()
  }

  #gone(c: string): void {
    this.inbox.delete(c)
    this.#rooms.delete(c)
    if (this.room?.c === c) this.room = undefined
    this.changed()
  }

  /**
   * A user who reads a conversation for the first time becomes a contact. The server reports the presence of a new
   * contact from the next request on, so the page asks again, once for each user that it has seen offline.
   */
  #mayBeContact(user: string): void {
    if (user === this.me || this.#readers.has(user)) return
    this.#readers.add(user)
    if ((this.presence.get(user) ?? 'offline') === 'offline') this.#watch()
  }

  /** Watches the presence of peers of direct conversations and of members of the open conversation. */
  #watch(): void {
    const users = new Set<string>()
    for (const { user } of this.room?.members ?? []) users.add(user)
    for (const { peer } of this.inbox.values()) if (peer !== undefined) users.add(peer)
    users.delete(this.me)
    if (users.size === 0) return
    this.client.request('presence', { users: [...users].slice(0, watchLimit) }).then(
      ({ states }) => {
        for (const [user, state] of Object.entries(states)) this.presence.set(user, state)
        this.changed()
      },
      () => {},
    )
  }
}
