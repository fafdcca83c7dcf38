import { isIP, isIPv4 } from 'node:net'
import ipaddr from 'ipaddr.js'
import { jittered } from '../../base/backoff.ts'
import { ConfabError } from '../../events/index.ts'
import type { EdgeLimits } from '../ports/edge-limits.ts'
import type { LimitName } from '../ports/edge-metrics.ts'
import type { Identity } from '../ports/token-verifier.ts'
import type { ClientTokens } from './client-tokens.ts'
import { KeyedRate } from './keyed-rate.ts'
import { Rate } from './rates.ts'

/** `retryAfterMs` of a refused connection. */
const retryAfterMs = 10_000

/** The open connections of one client address. Sessions keep a reference to this object, not a copy of the address. */
export interface AddressCount {
  readonly address: string
  connections: number
  /** Connections of `connections` whose client has no identity yet. */
  newcomers: number
}

type AddressLimits = Pick<
  EdgeLimits,
  'addressSockets' | 'addressNewcomers' | 'addressConnects' | 'trustProxy'
>

/** Length of a burst of new connections, ms. */
const connectBurstMs = 20_000

/** Limits the open connections of each client address, over all transports. */
export class AddressLimit {
  readonly #limits: AddressLimits
  readonly #onRefused: (limit: LimitName) => void
  readonly #counts = new Map<string, AddressCount>()
  readonly #connects: KeyedRate

  /** `meters`: addresses whose rates are remembered. */
  constructor(limits: AddressLimits & { meters: number }, onRefused: (limit: LimitName) => void) {
    this.#limits = limits
    this.#onRefused = onRefused
    // Behind trusted proxies all connections have the address of a proxy.
    const perSecond = limits.trustProxy > 0 ? 0 : limits.addressConnects
    this.#connects = new KeyedRate({ perSecond, burstMs: connectBurstMs }, limits.meters)
  }

  /** Returns what counts as the address of a client. `forwarded` is the header `X-Forwarded-For`. */
  keyOf(peer: string, forwarded: string): string {
    return addressKey(clientAddress(peer, forwarded, this.#limits.trustProxy))
  }

  /**
   * Counts a connection before its first request. Returns false when its address connects too often. So the connections
   * without a whole request are bounded, because the transport closes each of them after about half a minute.
   */
  mayConnect(peer: string, now: number): boolean {
    if (this.#connects.take(addressKey(peer), now) <= 0) return true
    this.#onRefused('address_connects')
    return false
  }

  /**
   * Counts one more connection, of a client without an identity. The caller passes the result to `closed` when the
   * connection has closed. `peer` is the address of the socket, `forwarded` the header `X-Forwarded-For`. Throws
   * ConfabError RATE_LIMITED when the address has too many connections.
   */
  opened(peer: string, forwarded: string): AddressCount {
    const { addressSockets, addressNewcomers } = this.#limits
    const address = this.keyOf(peer, forwarded)
    let count = this.#counts.get(address)
    if (count !== undefined) {
      if (addressSockets > 0 && count.connections >= addressSockets) this.#refuse('address_sockets')
      if (addressNewcomers > 0 && count.newcomers >= addressNewcomers) this.#refuse('address_newcomers')
    } else {
      count = { address, connections: 0, newcomers: 0 }
      this.#counts.set(address, count)
    }
    count.connections++
    count.newcomers++
    return count
  }

  /** The client of a connection has an identity now. */
  identified(count: AddressCount | undefined): void {
    if (count !== undefined) count.newcomers--
  }

  /** `isIdentified`: whether `identified` was called for this connection. */
  closed(count: AddressCount | undefined, isIdentified: boolean): void {
    if (count === undefined) return
    if (!isIdentified) count.newcomers--
    if (--count.connections === 0) this.#counts.delete(count.address)
  }

  #refuse(limit: 'address_sockets' | 'address_newcomers'): never {
    this.#onRefused(limit)
    throw tooManyConnections('This address')
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
  if (isIPv4(address)) return address
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

type HelloLimits = Pick<EdgeLimits, 'hellos' | 'userHellos' | 'burstMs' | 'meters'>

/**
 * Limits how many sessions open per second. Each new session costs work: conversations, presence, catch-up. Beyond the
 * limit all sessions would be served late. A refused client receives a retry time of its own, spaced at the rate: with
 * one common time all refused clients would return at once.
 *
 * Only clients with a valid token count, each user up to its share: other clients would use up the arrivals of all.
 */
export class HelloRate {
  readonly #rate: Rate
  readonly #msEach: number
  readonly #users: KeyedRate
  readonly #tokens: ClientTokens
  readonly #onRefused: (limit: LimitName) => void
  #arrival = 0
  /** The retry time of the client that was refused last. */
  #lastRetryAt = 0

  constructor(limits: HelloLimits, tokens: ClientTokens, onRefused: (limit: LimitName) => void) {
    const { hellos, userHellos, burstMs, meters } = limits
    this.#rate = new Rate({ perSecond: hellos, burstMs: helloBurstMs })
    this.#msEach = hellos === 0 ? 0 : 1000 / hellos
    this.#users = new KeyedRate({ perSecond: userHellos, burstMs }, meters)
    this.#tokens = tokens
    this.#onRefused = onRefused
  }

  /**
   * Verifies the token of a client at this address, then counts its session. Rejects with ConfabError: as
   * `ClientTokens` does, and OVERLOADED with `retryAfterMs`.
   */
  async admit(address: string, token: string): Promise<Identity> {
    const identity = await this.#tokens.verify(address, token)
    this.#admit(identity.user, performance.now())
    return identity
  }

  #admit(user: string, now: number): void {
    const wait = this.#users.take(user, now)
    if (wait > 0) this.#refuse('user_hello_rate', 'This user connects too often. Retry later.', wait)
    const after = this.#rate.after(this.#arrival, now, 1)
    const waitOfAll = this.#rate.waitMs(after, now)
    if (waitOfAll < 1) {
      this.#arrival = after
      return
    }
    const retryAt = Math.max(this.#lastRetryAt, now + waitOfAll) + this.#msEach
    this.#lastRetryAt = Math.min(retryAt, now + longestRetryMs)
    this.#refuse(
      'hello_rate',
      'Too many clients connect at the same time. Retry later.',
      this.#lastRetryAt - now,
    )
  }

  #refuse(limit: LimitName, message: string, waitMs: number): never {
    this.#onRefused(limit)
    throw new ConfabError('OVERLOADED', message, { retryAfterMs: jittered(waitMs) })
  }
}
