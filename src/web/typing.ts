/** How long a word of typing holds without another, ms. */
const holdsMs = 6_000
/** How often it is said that the user is still typing, ms. */
const repeatMs = 3_000

/** Who is typing where, by what others say; each word of it fades by itself. */
export class Typists {
  readonly #changed: () => void
  readonly #timers = new Map<string, Map<string, ReturnType<typeof setTimeout>>>()

  constructor(changed: () => void) {
    this.#changed = changed
  }

  in(c: string): string[] {
    return [...(this.#timers.get(c)?.keys() ?? [])]
  }

  set(c: string, user: string, on: boolean): void {
    const timers = this.#timers.get(c) ?? new Map<string, ReturnType<typeof setTimeout>>()
    this.#timers.set(c, timers)
    clearTimeout(timers.get(user))
    if (on)
      timers.set(
        user,
        setTimeout(() => this.set(c, user, false), holdsMs),
      )
    else if (timers.delete(user) && timers.size === 0) this.#timers.delete(c)
    this.#changed()
  }
}

/** Tells others that the user is typing: now and then while it goes on, and when it ends. */
export class TypingTeller {
  readonly #tell: (c: string, on: boolean) => void
  #c: string | undefined
  #toldAt = 0

  constructor(tell: (c: string, on: boolean) => void) {
    this.#tell = tell
  }

  typed(c: string): void {
    const now = Date.now()
    if (this.#c === c && now - this.#toldAt < repeatMs) return
    if (this.#c !== c) this.stopped()
    this.#c = c
    this.#toldAt = now
    this.#tell(c, true)
  }

  stopped(): void {
    if (this.#c !== undefined) this.#tell(this.#c, false)
    this.#c = undefined
  }
}
