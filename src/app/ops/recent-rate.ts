/** Seconds over which a rate is measured. */
const windowSeconds = 10

/** Counts by second of the last 10 seconds, and their rate. */
export class RecentRate {
  readonly #counts = new Array<number>(windowSeconds + 1).fill(0)
  readonly #now: () => number
  #second: number

  /** `now` returns the time in ms. Default: the monotonic clock. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now
    this.#second = this.#currentSecond()
  }

  add(count: number): void {
    this.#advance()
    this.#counts[this.#second % this.#counts.length]! += count
  }

  /** Returns the mean rate of the last 10 complete seconds. */
  perSecond(): number {
    this.#advance()
    const current = this.#counts[this.#second % this.#counts.length]!
    return (this.#counts.reduce((sum, count) => sum + count, 0) - current) / windowSeconds
  }

  #currentSecond(): number {
    return Math.floor(this.#now() / 1_000)
  }

  #advance(): void {
    const second = this.#currentSecond()
    if (second - this.#second > this.#counts.length) this.#counts.fill(0)
    else
      for (let next = this.#second + 1; next <= second; next++) this.#counts[next % this.#counts.length] = 0
    this.#second = second
  }
}
