import type { ConfabClient } from '../client/index.ts'
import type { ConversationEvent, InvitationItem } from '../events/index.ts'

/** The open invitations of the user: the first page of them. */
export class Invitations {
  readonly #client: ConfabClient
  readonly #changed: () => void
  #items = new Map<string, InvitationItem>()
  #turn = 0

  constructor(client: ConfabClient, changed: () => void) {
    this.#client = client
    this.#changed = changed
    client.on('hello', () => void this.#load())
    client.on('invitation', ({ c, on }) => {
      if (on) void this.#load()
      else this.#ended(c)
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

  #ended(c: string): void {
    // An answer that was read before must not show it again.
    this.#turn++
    if (this.#items.delete(c)) this.#changed()
  }

  async #load(): Promise<void> {
    for (;;) {
      const turn = ++this.#turn
      try {
        const { open } = await this.#client.request('invitations', { limit: 100 })
        if (turn !== this.#turn) continue
        this.#items = new Map(open.map(item => [item.c, item]))
        this.#changed()
      } catch {
        // Repeated at the next hello.
      }
      return
    }
  }
}
