import { ConfabError } from '../../events/index.ts'
import { Rate } from './rate-limits.ts'

/** How long a rate's worth of arrivals may come at once, ms: so many come back within a moment, and wait for nothing. */
const burstMs = 1_000
/** The longest that anybody is sent away for, ms. */
const longestMs = 30_000

/**
 * The rate at which clients may arrive at this node. Each is work: a token, the list of its conversations, what it has missed. Beyond the rate the node would
 * serve all of them late, and those that are here as well. Who is sent away gets a time of its own, one after another at the rate, or they would all come back
 * at the moment at which there is room for one.
 */
export class HelloRate {
  readonly #rate: Rate
  readonly #msEach: number
  readonly #refused: () => void
  #kept = 0
  /** The time that was given to the last one that was sent away. */
  #given = 0

  /** `perSecond`: 0 for any. */
  constructor(perSecond: number, refused: () => void) {
    this.#rate = new Rate({ perSecond, burstMs })
    this.#msEach = perSecond === 0 ? 0 : 1000 / perSecond
    this.#refused = refused
  }

  /** `now` as by `performance.now()`. Throws ConfabError OVERLOADED, with `retryAfterMs`. */
  admit(now: number): void {
    const after = this.#rate.after(this.#kept, now, 1)
    const wait = this.#rate.waitMs(after, now)
    if (wait < 1) {
      this.#kept = after
      return
    }
    this.#given = Math.min(Math.max(this.#given, now + wait) + this.#msEach, now + longestMs)
    this.#refused()
    throw new ConfabError('OVERLOADED', 'Many clients come at the same time; try again a little later.', {
      retryAfterMs: jittered(this.#given - now),
    })
  }
}

/** Up to a quarter longer. */
const jittered = (ms: number): number => Math.ceil(ms * (1 + Math.random() / 4))
