/** So much a second, as a rate; 0: any. */
export interface RateOptions {
  readonly perSecond: number
  /** How long a rate's worth may come at once, ms: a burst is `perSecond × burstMs / 1000`. */
  readonly burstMs: number
}

/**
 * The generic cell rate algorithm (ITU-T I.371): all that is kept of a key is one number, the time at which everything that it was allowed so far would have
 * come at exactly the rate. In any time t no more than a burst and `perSecond × t` passes. Pure: times are given, in ms of a clock that does not go back.
 */
export class Rate {
  readonly #msEach: number
  readonly #burstMs: number

  constructor({ perSecond, burstMs }: RateOptions) {
    this.#msEach = perSecond === 0 ? 0 : 1000 / perSecond
    this.#burstMs = burstMs
  }

  /** What is kept after `cost` more, of what was kept (0 at first). More than a burst counts as a burst: else it could never pass. */
  after(kept: number, now: number, cost: number): number {
    const ms = Math.min(cost * this.#msEach, this.#burstMs)
    return Math.max(kept, now) + ms
  }

  /** How long to wait until that much may pass, ms; 0 or less: it may now. */
  waitMs(after: number, now: number): number {
    return after - now - this.#burstMs
  }

  /** What is kept when something of `cost` did not count after all. */
  without(kept: number, cost: number): number {
    return kept - Math.min(cost * this.#msEach, this.#burstMs)
  }
}

/** What one key has used: what `Rate` keeps, of its requests and of their bytes. */
export class Meter {
  requests = 0
  bytes = 0
}

/** The two rates of a kind of key. */
export class Rates {
  readonly #requests: Rate
  readonly #bytes: Rate

  constructor(limits: { requests: number; bytes: number; burstMs: number }) {
    const { requests, bytes, burstMs } = limits
    this.#requests = new Rate({ perSecond: requests, burstMs })
    this.#bytes = new Rate({ perSecond: bytes, burstMs })
  }

  /** Counts a request of so many bytes, when it may pass: 0. Else nothing is counted, and the answer is how long to wait, ms. */
  take(meter: Meter, now: number, bytes: number): number {
    const requests = this.#requests.after(meter.requests, now, 1)
    const load = this.#bytes.after(meter.bytes, now, bytes)
    const wait = Math.max(this.#requests.waitMs(requests, now), this.#bytes.waitMs(load, now))
    if (wait > 0) return wait
    meter.requests = requests
    meter.bytes = load
    return 0
  }

  /** A request that was counted should not have been. */
  giveBack(meter: Meter, bytes: number): void {
    meter.requests = this.#requests.without(meter.requests, 1)
    meter.bytes = this.#bytes.without(meter.bytes, bytes)
  }
}

/**
 * Something of each key that was asked for lately, made when it is not there. Never more than `most` keys: those not asked for the longest are forgotten, in
 * halves, so that a key in use costs one look-up and no order is kept.
 */
export class RecentKeys<T> {
  readonly #half: number
  readonly #make: () => T
  #young = new Map<string, T>()
  #old = new Map<string, T>()

  constructor(most: number, make: () => T) {
    this.#half = Math.max(1, Math.floor(most / 2))
    this.#make = make
  }

  of(key: string): T {
    const known = this.#young.get(key)
    if (known !== undefined) return known
    const value = this.#old.get(key) ?? this.#make()
    if (this.#young.size >= this.#half) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(key, value)
    return value
  }

  /** What a key has, when it is still there. */
  peek(key: string): T | undefined {
    return this.#young.get(key) ?? this.#old.get(key)
  }

  /** Keys that are kept; one that was asked for again lately may count twice. */
  get size(): number {
    return this.#young.size + this.#old.size
  }
}
