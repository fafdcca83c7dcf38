import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'
import { ConfabError } from '../../events/index.ts'
import { Rate } from './admission.ts'

/** `retryAfterMs` of a refused connection. */
const retryAfterMs = 10_000

/** The open connections of one client address. Sessions keep a reference to this object, not a copy of the address. */
export interface AddressCount {
  readonly address: string
  connections: number
}

/** Limits the open connections of each client address, over all transports. */
export class AddressLimit {
  readonly #most: number
  readonly #trustProxy: number
  readonly #onRefused: () => void
  readonly #counts = new Map<string, AddressCount>()

  constructor(limits: { addressSockets: number; trustProxy: number }, onRefused: () => void) {
    this.#most = limits.addressSockets
    this.#trustProxy = limits.trustProxy
    this.#onRefused = onRefused
  }

  /**
   * Counts one more connection. The caller passes the result to `closed` when the connection has closed. `peer` returns
   * the address of the socket, `forwarded` is the header `X-Forwarded-For`. Returns undefined when there is no limit.
   * Throws ConfabError RATE_LIMITED when the address has too many connections.
   */
  opened(peer: () => string, forwarded: string): AddressCount | undefined {
    if (this.#most === 0) return undefined
    const address = addressKey(clientAddress(peer(), forwarded, this.#trustProxy))
    let count = this.#counts.get(address)
    if (count !== undefined && count.connections >= this.#most) {
      this.#onRefused()
      throw tooManyConnections('This address')
    }
    if (count === undefined) {
      count = { address, connections: 0 }
      this.#counts.set(address, count)
    }
    count.connections++
    return count
  }

  closed(count: AddressCount | undefined): void {
    if (count !== undefined && --count.connections === 0) this.#counts.delete(count.address)
  }
}

export const tooManyConnections = (subject: 'This user' | 'This address'): ConfabError =>
  new ConfabError('RATE_LIMITED', `${subject} has too many connections to this node. Close some.`, {
    retryAfterMs,
  })

/**
 * Returns what counts as one address: an IPv4 address, or the /64 of an IPv6 address, which one customer has (RFC
 * 6177).
 */
export const addressKey = (address: string): string => {
  // The peer of a gRPC call is `unknown` once its socket has closed.
  if (!ipaddr.isValid(address)) return address
  const parsed = ipaddr.process(address)
  if (!(parsed instanceof ipaddr.IPv6)) return parsed.toString()
  const network = parsed.parts.slice(0, 4).map(part => part.toString(16))
  return `${network.join(':')}::/64`
}

/**
 * Returns the address of the client. Each of the `proxies` trusted proxies appends the address of its peer to
 * `X-Forwarded-For`: only that many entries from the end are reliable. Without proxies the header is ignored. `peer` is
 * the address of the socket.
 */
export const clientAddress = (peer: string, forwarded: string, proxies: number): string => {
  if (proxies === 0 || forwarded === '') return peer
  const entries = forwarded.split(',').map(entry => entry.trim())
  const entry = entries.at(-Math.min(proxies, entries.length)) ?? ''
  // Some proxies append the port as well.
  const address = /^\[([^\]]+)\](?::\d+)?$/.exec(entry)?.[1] ?? entry.replace(/^(\d+(?:\.\d+){3}):\d+$/, '$1')
  return isIP(address) === 0 ? peer : address
}

/** Length of a burst of new sessions, ms. Sessions within a burst are not delayed. */
const helloBurstMs = 1_000
/** Longest `retryAfterMs` of a refused `hello`, ms. */
const longestRetryMs = 30_000

/**
 * Limits how many sessions open per second. Each new session costs work: token, conversations, catch-up. Beyond the
 * limit all sessions would be served late. A refused client receives a retry time of its own, spaced at the rate: with
 * one common time all refused clients would return at once.
 */
export class HelloRate {
  readonly #rate: Rate
  readonly #msEach: number
  readonly #onRefused: () => void
  #arrival = 0
  /** The retry time of the client that was refused last. */
  #lastRetryAt = 0

  /** `perSecond`: 0 for no limit. */
  constructor(perSecond: number, onRefused: () => void) {
    this.#rate = new Rate({ perSecond, burstMs: helloBurstMs })
    this.#msEach = perSecond === 0 ? 0 : 1000 / perSecond
    this.#onRefused = onRefused
  }

  /** Counts a new session. `now` is `performance.now()`. Throws ConfabError OVERLOADED with `retryAfterMs`. */
  admit(now: number): void {
    const after = this.#rate.after(this.#arrival, now, 1)
    const wait = this.#rate.waitMs(after, now)
    if (wait < 1) {
      this.#arrival = after
      return
    }
    const retryAt = Math.max(this.#lastRetryAt, now + wait) + this.#msEach
    this.#lastRetryAt = Math.min(retryAt, now + longestRetryMs)
    this.#onRefused()
    throw new ConfabError('OVERLOADED', 'Too many clients connect at the same time. Retry later.', {
      retryAfterMs: jittered(this.#lastRetryAt - now),
    })
  }
}

/** Returns 100 to 125 % of a time. */
const jittered = (ms: number): number => Math.ceil(ms * (1 + Math.random() / 4))
