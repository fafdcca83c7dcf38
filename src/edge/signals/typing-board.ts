import { Shares } from '../../base/shares.ts'
import type { EdgeLimits } from '../ports/edge-limits.ts'
import type { Signals } from '../ports/signals.ts'

/** A user of this node who types in a conversation, or typed there lately. */
interface Typist {
  readonly c: string
  readonly user: string
  /** The state in the last signal. */
  sent: boolean
  /** When the next signal may be sent, as by `performance.now()`. */
  nextAt: number
  /** The current state. */
  on: boolean
  /** Whether a signal has to be sent. */
  isDue: boolean
  /** When typing ends unless the client repeats it. */
  endsAt: number
}

/**
 * The users of this node who are typing. Sends at most one signal in `everyMs` for each user and conversation: at once,
 * or when that time is over with the state of then. Typing that the client does not repeat ends. Bounded: a pair beyond
 * `typists` causes no signals, nor does one beyond the user's share `userTypists`.
 */
export class TypingBoard {
  readonly #signals: Signals
  readonly #everyMs: number
  readonly #silenceMs: number
  readonly #pairs: Shares
  readonly #typists = new Map<string, Typist>()
  readonly #timer: NodeJS.Timeout

  constructor(
    signals: Signals,
    {
      typingEveryMs,
      typingSilenceMs,
      typists,
      userTypists,
    }: Pick<EdgeLimits, 'typingEveryMs' | 'typingSilenceMs' | 'typists' | 'userTypists'>,
  ) {
    this.#signals = signals
    this.#everyMs = typingEveryMs
    this.#silenceMs = typingSilenceMs
    this.#pairs = new Shares({ total: typists, share: userTypists })
    const checkEveryMs = Math.max(10, Math.min(250, typingEveryMs / 4, typingSilenceMs / 4))
    this.#timer = setInterval(() => this.#check(performance.now()), checkEveryMs).unref()
  }

  /** Sets whether a user is typing. The caller has checked that the user is a member. */
  set(c: string, user: string, on: boolean): void {
    const now = performance.now()
    const key = `${c} ${user}`
    let typist = this.#typists.get(key)
    if (typist === undefined) {
      // An end without a start needs no signal.
      if (!on || this.#pairs.take(user) !== undefined) return
      typist = { c, user, sent: false, nextAt: 0, on, isDue: true, endsAt: 0 }
      this.#typists.set(key, typist)
    }
    typist.on = on
    typist.endsAt = now + this.#silenceMs
    // Typing is sent repeatedly, for members who connected since; its end once.
    typist.isDue = on || typist.sent
    if (typist.isDue && now >= typist.nextAt) this.#send(typist, now)
  }

  close(): void {
    clearInterval(this.#timer)
  }

  #check(now: number): void {
    for (const [key, typist] of this.#typists) {
      if (typist.on && now >= typist.endsAt) {
        typist.on = false
        typist.isDue = typist.sent
      }
      if (now < typist.nextAt) continue
      if (typist.isDue) this.#send(typist, now)
      else if (!typist.on && !typist.sent) {
        this.#typists.delete(key)
        this.#pairs.release(typist.user)
      }
    }
  }

  #send(typist: Typist, now: number): void {
    const { c, user, on } = typist
    typist.isDue = false
    typist.sent = on
    typist.nextAt = now + this.#everyMs
    this.#signals.publish(c, { t: 'signal', type: 'typing', c, user, on })
  }
}
