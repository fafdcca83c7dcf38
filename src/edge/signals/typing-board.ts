import type { Signals } from '../ports/signals.ts'

interface Typist {
  readonly c: string
  readonly user: string
  /** What the others were told last. */
  told: boolean
  /** When, and until when nothing is told. */
  quietUntil: number
  /** What they are to be told next. */
  on: boolean
  /** There is something to tell. */
  isDue: boolean
  /** When it ends by itself. */
  endsAt: number
}

/**
 * Who of this node's users types where. Of each and each conversation others hear once in `everyMs` at most: at once where nothing was said lately, else what
 * holds when that time is over. Typing that is not said again ends by itself. Bounded: of those beyond `most` nothing is told, a signal may be lost.
 */
export class TypingBoard {
  readonly #signals: Signals
  readonly #everyMs: number
  readonly #silenceMs: number
  readonly #most: number
  readonly #typists = new Map<string, Typist>()
  readonly #timer: NodeJS.Timeout

  constructor(
    signals: Signals,
    {
      typingEveryMs,
      typingSilenceMs,
      typists,
    }: { typingEveryMs: number; typingSilenceMs: number; typists: number },
  ) {
    this.#signals = signals
    this.#everyMs = typingEveryMs
    this.#silenceMs = typingSilenceMs
    this.#most = typists
    const lookEveryMs = Math.max(10, Math.min(250, typingEveryMs / 4, typingSilenceMs / 4))
    this.#timer = setInterval(() => this.#look(performance.now()), lookEveryMs).unref()
  }

  /** Whoever asks is a member. */
  set(c: string, user: string, on: boolean): void {
    const now = performance.now()
    const key = `${c} ${user}`
    let typist = this.#typists.get(key)
    if (typist === undefined) {
      // To end what has not begun is nothing to tell.
      if (!on || this.#typists.size >= this.#most) return
      typist = { c, user, told: false, quietUntil: 0, on, isDue: true, endsAt: 0 }
      this.#typists.set(key, typist)
    }
    typist.on = on
    typist.endsAt = now + this.#silenceMs
    // Typing is told again, for who has come since; its end once.
    typist.isDue = on || typist.told
    if (typist.isDue && now >= typist.quietUntil) this.#tell(typist, now)
  }

  close(): void {
    clearInterval(this.#timer)
  }

  #look(now: number): void {
    for (const [key, typist] of this.#typists) {
      if (typist.on && now >= typist.endsAt) {
        typist.on = false
        typist.isDue = typist.told
      }
      if (now < typist.quietUntil) continue
      if (typist.isDue) this.#tell(typist, now)
      else if (!typist.on && !typist.told) this.#typists.delete(key)
    }
  }

  #tell(typist: Typist, now: number): void {
    const { c, user, on } = typist
    typist.isDue = false
    typist.told = on
    typist.quietUntil = now + this.#everyMs
    this.#signals.publish(c, { t: 'signal', type: 'typing', c, user, on })
  }
}
