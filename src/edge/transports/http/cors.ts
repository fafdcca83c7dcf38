/** Headers of an answer, in the order in which they are written. */
export type HeaderList = readonly (readonly [name: string, value: string])[]

/**
 * Which browser origins may call the HTTP routes. Returns the CORS headers of every answer, and those of a preflight.
 */
export interface CorsPolicy {
  /** `origin`: the header `Origin`; empty when the request has none. */
  headers(origin: string): HeaderList
  preflightHeaders(origin: string): HeaderList
}

/** Headers of answers that pages may read besides the safelisted ones (Fetch, 4.10). */
const exposed: HeaderList = [['access-control-expose-headers', 'content-range, retry-after']]

const allowed: HeaderList = [
  ['access-control-allow-methods', 'GET, POST, PUT'],
  ['access-control-allow-headers', 'authorization, content-type, last-event-id, range, traceparent'],
  ['access-control-max-age', '600'],
]

/**
 * Creates the policy for a list of origins; `*` allows all. Tokens are sent in a header and never in a cookie, so
 * answers do not allow credentials. With a list, answers depend on the origin, so they carry `Vary: origin`.
 */
export const corsPolicy = (origins: readonly string[]): CorsPolicy => {
  const any = origins.includes('*')
  const vary: HeaderList = any || origins.length === 0 ? [] : [['vary', 'origin']]
  const isAllowed = (origin: string): boolean => origin !== '' && (any || origins.includes(origin))
  return {
    headers: origin =>
      isAllowed(origin) ? [['access-control-allow-origin', any ? '*' : origin], ...exposed, ...vary] : vary,
    preflightHeaders: origin => (isAllowed(origin) ? allowed : []),
  }
}

/**
 * Returns a check of the header `Origin` of a WebSocket upgrade, which browsers send and CORS does not cover. `self`:
 * the origin with the host of the request, by http or https, because a proxy may end TLS. Requests without the header
 * are not from a browser.
 */
export const socketOriginPolicy =
  (origins: readonly string[]): ((origin: string, host: string) => boolean) =>
  (origin, host) =>
    origin === '' ||
    origins.includes('*') ||
    (origin !== 'self' && origins.includes(origin)) ||
    (origins.includes('self') && host !== '' && (origin === `http://${host}` || origin === `https://${host}`))
