import type { HttpRequest, HttpResponse } from 'uWebSockets.js'
import type { CorsPolicy, HeaderList } from './cors.ts'

export interface AnswerHeaderOptions {
  /** Whether this server ends TLS. */
  readonly isSecure: boolean
  /** Number of trusted proxies in front of the server. */
  readonly proxies: number
  /** Time for which browsers use this host over https only, ms; 0: they receive none. */
  readonly hstsMs: number
}

/** Returns the headers that the answer to a request has on every route. Call it in the first turn of a handler. */
export type AnswerHeaders = (req: HttpRequest) => HeaderList

/** Browsers must not guess the type of an answer, or send its URL to other sites. */
const always: HeaderList = [
  ['x-content-type-options', 'nosniff'],
  ['referrer-policy', 'no-referrer'],
]

/**
 * Creates the headers of all answers. Over https they include Strict-Transport-Security; over http browsers ignore it
 * (RFC 6797, 8.1). Only a trusted proxy is believed that its client uses https.
 */
export const answerHeaders = ({ isSecure, proxies, hstsMs }: AnswerHeaderOptions): AnswerHeaders => {
  const seconds = Math.floor(hstsMs / 1000)
  if (seconds === 0) return () => always
  const overHttps: HeaderList = [...always, ['strict-transport-security', `max-age=${seconds}`]]
  if (isSecure) return () => overHttps
  if (proxies === 0) return () => always
  return req => (req.getHeader('x-forwarded-proto') === 'https' ? overHttps : always)
}

/** The headers that depend on who sent a request. */
export interface AnswerPolicy {
  readonly always: AnswerHeaders
  readonly cors: CorsPolicy
}

/** Writes the head of an answer. All answers of the app pass through this function. */
export const writeHead = (res: HttpResponse, status: string, ...headers: readonly HeaderList[]): void => {
  res.writeStatus(status)
  for (const list of headers) for (const [name, value] of list) res.writeHeader(name, value)
}

/** Features of browsers that the pages do not use, and a script in them must not. */
const refusedFeatures = [
  'accelerometer',
  'display-capture',
  'geolocation',
  'gyroscope',
  'hid',
  'magnetometer',
  'midi',
  'payment',
  'serial',
  'usb',
]

/** Features that the page of calls alone uses. */
const callFeatures = ['camera', 'microphone']

/**
 * Returns the headers of a page: scripts and styles of this server only, no features that it does not need, and no
 * access from pages of other origins that open it. `media`: the origin of the media store, if it has its own.
 */
export const pageHeaders = (url: string, media: string | undefined): HeaderList => {
  const andMedia = media === undefined ? '' : ` ${media}`
  const ofCalls = callFeatures.map(feature => `${feature}=(${url.startsWith('/call/') ? 'self' : ''})`)
  return [
    [
      'content-security-policy',
      [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        `img-src 'self' data:${andMedia}`,
        `connect-src 'self' ws: wss:${andMedia}`,
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
      ].join('; '),
    ],
    ['cross-origin-opener-policy', 'same-origin'],
    ['permissions-policy', [...refusedFeatures.map(feature => `${feature}=()`), ...ofCalls].join(', ')],
  ]
}
