import { addressKey } from './connection-limits.ts'
import { Rate } from './rates.ts'
import { RecentKeys } from './recent-keys.ts'

export interface MalformedRequestLimits {
  /** Malformed requests per second of one address; 0: no limit. */
  readonly malformedRequests: number
  readonly burstMs: number
  /** Time for which an address is refused, ms. */
  readonly refusedMs: number
  /** Addresses that are remembered. */
  readonly meters: number
}

/** The malformed requests of one address. */
interface AddressMeter {
  arrival: number
}

/**
 * Counts the HTTP requests that cannot be read, by client address. They have no user whose rate could count them.
 * Beyond the rate, the address is refused for a while: its connections are closed before a request is looked at.
 */
export class MalformedRequests {
  readonly #rate: Rate
  readonly #refusedMs: number
  readonly #most: number
  readonly #meters: RecentKeys<AddressMeter>
  readonly #onRefused: () => void
  /** Until when addresses are refused, by `performance.now()`; the first one ends first. */
  readonly #refused = new Map<string, number>()

  constructor(limits: MalformedRequestLimits, onRefused: () => void) {
    this.#rate = new Rate({ perSecond: limits.malformedRequests, burstMs: limits.burstMs })
    this.#refusedMs = limits.refusedMs
    this.#most = limits.meters
    this.#meters = new RecentKeys(limits.meters, () => ({ arrival: 0 }))
    this.#onRefused = onRefused
  }

  /** Counts a malformed request. `now` is `performance.now()`. */
  count(address: string, now: number): void {
    const key = addressKey(address)
    const meter = this.#meters.of(key)
    const after = this.#rate.after(meter.arrival, now, 1)
    if (this.#rate.waitMs(after, now) <= 0) {
      meter.arrival = after
      return
    }
    this.#forgetDue(now)
    if (this.#refused.size >= this.#most) return
    this.#refused.delete(key)
    this.#refused.set(key, now + this.#refusedMs)
  }

  /** Whether an address is refused now. Asks for the address only while any address is refused. */
  refuses(address: () => string, now: number): boolean {
    if (this.#refused.size === 0) return false
    this.#forgetDue(now)
    if (!this.#refused.has(addressKey(address()))) return false
    this.#onRefused()
    return true
  }

  #forgetDue(now: number): void {
    for (const [key, until] of this.#refused) {
      if (until > now) return
      this.#refused.delete(key)
    }
  }
}
