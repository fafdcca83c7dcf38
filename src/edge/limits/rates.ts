/** A rate limit. */
export interface RateOptions {
  /** Units per second; 0: no limit. */
  readonly perSecond: number
  /** Length of a burst, ms: a burst is `perSecond × burstMs / 1000` units. */
  readonly burstMs: number
}

/**
 * The generic cell rate algorithm (ITU-T I.371). It stores one number per key: the theoretical arrival time, at which
 * all units accepted so far would have arrived at exactly the rate. In any time t at most a burst and `perSecond × t`
 * units pass. Pure: callers pass the time, in ms of a monotonic clock.
 */
export class Rate {
  readonly #msEach: number
  readonly #burstMs: number

  constructor({ perSecond, burstMs }: RateOptions) {
    this.#msEach = perSecond === 0 ? 0 : 1000 / perSecond
    this.#burstMs = burstMs
  }

  /**
   * Returns the arrival time after `cost` more units; initially it is 0. More units than a burst count as one burst.
   */
  after(arrival: number, now: number, cost: number): number {
    const ms = Math.min(cost * this.#msEach, this.#burstMs)
    return Math.max(arrival, now) + ms
  }

  /** Returns how long to wait until this arrival time conforms, ms; 0 or less: it conforms now. */
  waitMs(after: number, now: number): number {
    return after - now - this.#burstMs
  }

  isHalfUsed(arrival: number, now: number): boolean {
    return arrival - now > this.#burstMs / 2
  }

  /** Returns the arrival time without `cost` units that were counted before. */
  without(arrival: number, cost: number): number {
    return arrival - Math.min(cost * this.#msEach, this.#burstMs)
  }
}

/** The use of one key: the theoretical arrival times of its requests and of bytes. */
export class Meter {
  requests = 0
  bytes = 0
  /** Bytes of refused frames that were decoded. */
  refused = 0
}

/** The meter of a user, with the number of its unanswered requests in all sessions on this node. */
export class UserMeter extends Meter {
  inFlight = 0
}

/** The rate limits of requests and bytes for one kind of key. */
export class Rates {
  readonly #requests: Rate
  readonly #bytes: Rate

  constructor(limits: { requests: number; bytes: number; burstMs: number }) {
    const { requests, bytes, burstMs } = limits
    this.#requests = new Rate({ perSecond: requests, burstMs })
    this.#bytes = new Rate({ perSecond: bytes, burstMs })
  }

  /** Counts a request of this size and returns 0. Over a limit it counts nothing and returns how long to wait, ms. */
  take(meter: Meter, now: number, bytes: number): number {
    const requests = this.#requests.after(meter.requests, now, 1)
    const load = this.#bytes.after(meter.bytes, now, bytes)
    const wait = Math.max(this.#requests.waitMs(requests, now), this.#bytes.waitMs(load, now))
    if (wait > 0) return wait
    meter.requests = requests
    meter.bytes = load
    return 0
  }

  /** Counts more bytes of a request that is counted already. Returns as `take` does. */
  takeBytes(meter: Meter, now: number, bytes: number): number {
    return this.#takeBytes('bytes', meter, now, bytes)
  }

  /** Counts the bytes of a refused frame and returns true. Over the rate of bytes it counts nothing: false. */
  takeRefused(meter: Meter, now: number, bytes: number): boolean {
    return this.#takeBytes('refused', meter, now, bytes) === 0
  }

  #takeBytes(of: 'bytes' | 'refused', meter: Meter, now: number, bytes: number): number {
    const load = this.#bytes.after(meter[of], now, bytes)
    const wait = this.#bytes.waitMs(load, now)
    if (wait > 0) return wait
    meter[of] = load
    return 0
  }

  /** Whether more than half of a burst is used. */
  isHalfUsed({ requests, bytes }: Meter, now: number): boolean {
    return this.#requests.isHalfUsed(requests, now) || this.#bytes.isHalfUsed(bytes, now)
  }

  /** Reverts the count of a request. */
  giveBack(meter: Meter, bytes: number): void {
    meter.requests = this.#requests.without(meter.requests, 1)
    meter.bytes = this.#bytes.without(meter.bytes, bytes)
  }
}
