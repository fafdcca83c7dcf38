import { Rate } from './rates.ts'
import { RecentKeys } from './recent-keys.ts'

/** A rate limit for each of many keys. It forgets keys that it has not seen for long, when there are too many. */
export class KeyedRate {
  readonly #rate: Rate
  readonly #arrivals: RecentKeys<{ at: number }>

  constructor(rate: { perSecond: number; burstMs: number }, keys: number) {
    this.#rate = new Rate(rate)
    this.#arrivals = new RecentKeys(keys, () => ({ at: 0 }))
  }

  /** Returns how long the next unit of a key has to wait, ms; 0 or less: not at all. */
  waitMs(key: string, now: number): number {
    const arrival = this.#arrivals.peek(key)
    return arrival === undefined ? 0 : this.#rate.waitMs(this.#rate.after(arrival.at, now, 1), now)
  }

  /** Counts a unit of a key and returns 0. Over the limit it counts nothing and returns how long to wait, ms. */
  take(key: string, now: number): number {
    const arrival = this.#arrivals.of(key)
    const after = this.#rate.after(arrival.at, now, 1)
    const wait = this.#rate.waitMs(after, now)
    if (wait > 0) return wait
    arrival.at = after
    return 0
  }
}
