import { isIP, isIPv4 } from 'node:net'
import { ConfabError } from '../../events/index.ts'

/** How long whoever has too many sockets should wait, ms. */
const retryAfterMs = 10_000

/** An address of which sockets are open, and how many: its sessions hold this, not a copy of the address each. */
export interface Origin {
  readonly address: string
  sockets: number
}

/** Counts open sockets by address. Keeps as many addresses as have sockets. */
export class Origins {
  readonly #most: number
  readonly #origins = new Map<string, Origin>()

  /** `most`: sockets of one address; 0: any, and none is counted. */
  constructor(most: number) {
    this.#most = most
  }

  get isCounting(): boolean {
    return this.#most > 0
  }

  /** The origin of one more socket. Throws ConfabError RATE_LIMITED when it has too many. */
  take(address: string): Origin {
    let origin = this.#origins.get(address)
    if (origin !== undefined && origin.sockets >= this.#most) throw tooManySockets('Your address has')
    if (origin === undefined) {
      origin = { address, sockets: 0 }
      this.#origins.set(address, origin)
    }
    origin.sockets++
    return origin
  }

  release(origin: Origin): void {
    if (--origin.sockets === 0) this.#origins.delete(origin.address)
  }
}

/** `who`: with its verb, as the message begins. */
export const tooManySockets = (who: 'You have' | 'Your address has'): ConfabError =>
  new ConfabError('RATE_LIMITED', `${who} too many sockets at this node; close some.`, {
    retryAfterMs,
  })

/** The 16-bit groups of an IPv6 address, its text being a good one. */
const groupsOf = (address: string): string[] => {
  const [head = '', tail] = address.toLowerCase().split('::')
  const left = head === '' ? [] : head.split(':')
  if (tail === undefined) return left
  const right = tail === '' ? [] : tail.split(':')
  // A dotted end stands for two groups.
  const width = right.length + (right.at(-1)?.includes('.') ? 1 : 0)
  return [...left, ...Array<string>(Math.max(0, 8 - left.length - width)).fill('0'), ...right]
}

/** What counts as one address: of IPv6 the /64, which is what one customer has at least (RFC 6177). */
export const addressKey = (address: string): string => {
  if (isIPv4(address)) return address
  const mapped = /^(?:::|(?:0+:){5})ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1]
  if (mapped !== undefined) return mapped
  const groups = groupsOf(address.split('%')[0] ?? '').map(group => group.replace(/^0+(?=.)/, ''))
  if (groups.length === 8 && groups.slice(0, 5).every(group => group === '0') && groups[5] === 'ffff')
    return [groups[6], groups[7]]
      .map(group => Number.parseInt(group ?? '', 16))
      .map(group => `${group >> 8}.${group & 255}`)
      .join('.')
  return `${groups.slice(0, 4).join(':')}::/64`
}

/**
 * Where a connection comes from. `proxies` in front of this node each add whom they heard from at the end of `X-Forwarded-For`: so many entries from the end,
 * it is true, and what stands before them anybody may have written. With none the header says nothing. `peer` is the socket's own address.
 */
export const clientAddress = (peer: string, forwarded: string, proxies: number): string => {
  if (proxies === 0 || forwarded === '') return peer
  const entries = forwarded.split(',').map(entry => entry.trim())
  const entry = entries.at(-Math.min(proxies, entries.length)) ?? ''
  // Some proxies write the port, too.
  const address = /^\[([^\]]+)\](?::\d+)?$/.exec(entry)?.[1] ?? entry.replace(/^(\d+(?:\.\d+){3}):\d+$/, '$1')
  return isIP(address) === 0 ? peer : address
}
