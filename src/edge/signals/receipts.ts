/**
 * Tells of marks that have moved, conversation by conversation: the first at once, what comes within `everyMs` after it together, of each user once, however
 * often it moved. Keeps nothing of a conversation in which nothing has moved for that long.
 */
export class Receipts {
  readonly #everyMs: number
  readonly #tell: (c: string, user: string) => void
  /** Users whose marks have moved since the conversation was told of last. */
  readonly #waiting = new Map<string, Set<string>>()
  readonly #timers = new Set<NodeJS.Timeout>()

  constructor(everyMs: number, tell: (c: string, user: string) => void) {
    this.#everyMs = everyMs
    this.#tell = tell
  }

  moved(c: string, user: string): void {
    const waiting = this.#waiting.get(c)
    if (waiting !== undefined) {
      waiting.add(user)
      return
    }
    this.#tell(c, user)
    if (this.#everyMs > 0) this.#wait(c)
  }

  close(): void {
    for (const timer of this.#timers) clearTimeout(timer)
    this.#waiting.clear()
  }

  #wait(c: string): void {
    this.#waiting.set(c, new Set())
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      const users = this.#waiting.get(c)
      this.#waiting.delete(c)
      if (users === undefined || users.size === 0) return
      for (const user of users) this.#tell(c, user)
      this.#wait(c)
    }, this.#everyMs)
    this.#timers.add(timer.unref())
  }
}
