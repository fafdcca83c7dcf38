import type { ConfabClient } from '../client/index.ts'
import type { ConversationEvent, InvitationItem } from '../events/index.ts'

/** Pause before the list is read again when it lacks a pushed invitation, ms; and how often it is. */
const pauseMs = 500
const most = 10

/** The open invitations of the user: the first page of them. */
export class Invitations {
  readonly #client: ConfabClient
  readonly #changed: () => void
  #items = new Map<string, InvitationItem>()
  /** Pushed invitations that the list lacks: the view that it is read from may lag. */
  readonly #awaited = new Set<string>()
  #reads = 0
  #timer: ReturnType<typeof setTimeout> | undefined
  #isLoading = false
  #isStale = false

  constructor(client: ConfabClient, changed: () => void) {
    this.#client = client
    this.#changed = changed
    client.on('hello', () => this.#refresh())
    client.on('invitation', ({ c, on }) => {
      if (!on) this.#ended(c)
      else {
        this.#awaited.add(c)
        this.#refresh()
      }
    })
  }

  /** The latest invitation first. */
  get items(): readonly InvitationItem[] {
    return [...this.#items.values()].sort((a, b) => (a.at < b.at ? 1 : a.at > b.at ? -1 : a.c < b.c ? -1 : 1))
  }

  /** Takes the events of conversations: a user who joins has no invitation any more. */
  take(event: ConversationEvent, me: string): void {
    if (event.type === 'member.joined' && event.user === me) this.#ended(event.c)
  }

  /** Rejects with RequestError. */
  async answer(c: string, accepts: boolean): Promise<void> {
    await this.#client.request(accepts ? 'accept' : 'decline', { c })
    this.#ended(c)
  }

  close(): void {
    clearTimeout(this.#timer)
  }

  #ended(c: string): void {
    // An answer under way may still have it.
    this.#isStale = true
    this.#awaited.delete(c)
    if (this.#items.delete(c)) this.#changed()
  }

  #refresh(): void {
    this.#reads = 0
    void this.#load()
  }

  /** Reads the list, once more when it changes meanwhile. One request at a time. */
  async #load(): Promise<void> {
    clearTimeout(this.#timer)
    this.#isStale = true
    if (this.#isLoading) return
    this.#isLoading = true
    try {
      while (this.#isStale) {
        this.#isStale = false
        const { open } = await this.#client.request('invitations', { limit: 100 })
        if (!this.#isStale) this.#show(open)
      }
    } catch {
      // Repeated at the next hello.
    }
    this.#isLoading = false
    if (this.#awaited.size > 0 && ++this.#reads < most)
      this.#timer = setTimeout(() => void this.#load(), pauseMs)
  }

  #show(open: readonly InvitationItem[]): void {
    this.#items = new Map(open.map(item => [item.c, item]))
    for (const { c } of open) this.#awaited.delete(c)
    this.#changed()
  }
}
