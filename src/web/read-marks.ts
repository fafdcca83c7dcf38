import type { ConfabClient } from '../client/index.ts'
import { type Inbox, markInbox } from './inbox.ts'

/** Sends the user's read markers, one request at a time: while one is in flight, only the highest marker waits. */
export class ReadMarks {
  readonly #client: ConfabClient
  readonly #inbox: Inbox
  readonly #changed: () => void
  readonly #wanted = new Map<string, number>()
  readonly #busy = new Set<string>()

  constructor(client: ConfabClient, inbox: Inbox, changed: () => void) {
    this.#client = client
    this.#inbox = inbox
    this.#changed = changed
  }

  /** The user has seen conversation `c` up to `seq`, with `unread` messages after it. */
  seen(c: string, seq: number, unread: number): void {
    const item = this.#inbox.get(c)
    if (item === undefined || seq <= Math.max(item.read, this.#wanted.get(c) ?? 0)) return
    this.#wanted.set(c, seq)
    markInbox(this.#inbox, { c, read: seq, unread })
    this.#changed()
    void this.#send(c)
  }

  async #send(c: string): Promise<void> {
    if (this.#busy.has(c)) return
    this.#busy.add(c)
    for (let seq = this.#wanted.get(c); seq !== undefined; ) {
      try {
        await this.#client.request('read', { c, seq })
      } catch {
        // The next message read tries again.
      }
      const next = this.#wanted.get(c)
      if (next === seq) this.#wanted.delete(c)
      seq = next === seq ? undefined : next
    }
    this.#busy.delete(c)
  }
}
