/** How long a typing signal lasts without another one, ms. */
const holdsMs = 6_000
/** Interval of repeating the user's typing signal, ms. */
const repeatMs = 3_000

/** The users that are typing, by conversation; each signal expires. */
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

/** Sends the user's typing: repeated while it continues, and at its end. */
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
