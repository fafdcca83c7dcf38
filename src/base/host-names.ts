import { isIP } from 'node:net'

/** Whether a listener on this address or name can be reached from the same machine only. */
export const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))

const hostHeader = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::\d{1,5})?$/i

/**
 * Returns a check of the header `Host`: it accepts IP addresses, `localhost` and the given names.
 *
 * The check is the fence against DNS rebinding: a page whose name is made to resolve to this server can call it as if
 * it were the page's own server, and then sends the page's name. An address in the header cannot be rebound.
 */
export const hostCheck = (names: Iterable<string>): ((header: string) => boolean) => {
  const accepted = new Set(['localhost', ...[...names].map(name => name.toLowerCase())])
  return header => {
    const [, bracketed, name = ''] = hostHeader.exec(header) ?? []
    return bracketed === undefined
      ? isIP(name) !== 0 || accepted.has(name.toLowerCase())
      : isIP(bracketed) === 6
  }
}
