import type { HttpRequest, HttpResponse, TemplatedApp } from 'uWebSockets.js'
import { ConfabError } from '../../../events/index.ts'
import { clientAddress } from '../../limits/connection-limits.ts'
import { hasCertificate, peerOf } from '../listen.ts'
import { type AnswerHeaders, writeHead } from './answer-headers.ts'
import type { HeaderList } from './cors.ts'

/** Every method of an app that registers a handler of HTTP requests. */
const registrations = [
  'get',
  'post',
  'options',
  'del',
  'patch',
  'put',
  'head',
  'connect',
  'trace',
  'any',
] as const

/** Larger lengths are refused: they exceed what JavaScript and the transport count exactly. */
const lengthPattern = /^\d{1,15}$/

/**
 * Returns why the end of a request is ambiguous; undefined when it is certain (RFC 9112, 6.3). A proxy that finds
 * another end than this server would forward a hidden request as a part of a body. The transport itself refuses
 * malformed lines and reads only the first header of a name, so all headers are looked at here.
 */
export const framingProblem = (
  method: string,
  headers: Iterable<readonly [name: string, value: string]>,
  isUpgrade = false,
): string | undefined => {
  const lengths: string[] = []
  const codings: string[] = []
  let hosts = 0
  for (const [name, value] of headers)
    if (name === 'content-length') lengths.push(value)
    else if (name === 'transfer-encoding') codings.push(value)
    else if (name === 'host') hosts++
  if (hosts > 1) return 'Host: send this header once.'
  if (lengths.length > 1) return 'Content-Length: send this header once.'
  if (codings.length > 1) return 'Transfer-Encoding: send this header once.'
  const [length] = lengths
  const [coding] = codings
  if (length !== undefined && coding !== undefined)
    return 'Send either Content-Length or Transfer-Encoding, not both.'
  if (length !== undefined && !lengthPattern.test(length))
    return 'Content-Length: expected a decimal number of bytes.'
  if (coding !== undefined && coding.toLowerCase() !== 'chunked')
    return 'Transfer-Encoding: only "chunked" is supported.'
  // The body of such a request has no meaning, and may hide a request (RFC 9110, 9.3.1).
  if (coding !== undefined && (method === 'get' || method === 'head'))
    return 'Transfer-Encoding: a GET or HEAD request must not have a body.'
  // The transport would read the body of an upgrade as WebSocket frames.
  if (isUpgrade && Number(length ?? 0) > 0) return 'An upgrade to WebSocket must not have a body.'
  return undefined
}

/**
 * Size of the answer to a refused request, bytes. The transport holds up to 16 KiB of answers back until it has handled
 * all requests that it has received. It sends a longer answer at once, and can close the connection before it handles
 * the next request.
 */
const refusalBytes = 16 * 1024 + 1

/** Answers and closes the connection. The transport handles no later request of the connection. */
const refuse = (res: HttpResponse, error: ConfabError, always: HeaderList): void => {
  const body = JSON.stringify({ ok: false, error: error.toBody() })
  res.onAborted(() => {})
  writeHead(res, error.code === 'FORBIDDEN' ? '403 Forbidden' : '400 Bad Request', always, [
    ['content-type', 'application/json; charset=utf-8'],
    ['cache-control', 'no-store'],
  ])
  // In one call, with a length: after a part in chunks, the transport would write `Connection: close` between chunks.
  res.end(body.padEnd(refusalBytes), true)
}

const headersOf = (req: HttpRequest): [string, string][] => {
  const headers: [string, string][] = []
  req.forEach((name, value) => {
    headers.push([name, value])
  })
  return headers
}

/** Which client addresses are refused, because they sent too many malformed requests. */
export interface Refusals {
  count(address: string, now: number): void
  refuses(address: () => string, now: number): boolean
}

export interface RefusalOptions {
  readonly refusals: Refusals
  /** Number of trusted proxies in front of the server. */
  readonly proxies: number
  readonly always: AnswerHeaders
  /** Whether clients need a certificate. */
  readonly needsCertificate: boolean
  /** Whether a value of the header `Host` is accepted. Undefined: all are. */
  readonly acceptsHost: ((header: string) => boolean) | undefined
}

const noCertificate = (): ConfabError =>
  new ConfabError('FORBIDDEN', 'Clients of this server need a certificate. Connect with one.')

const unknownHost = (): ConfabError =>
  new ConfabError(
    'FORBIDDEN',
    'Host: a development server answers to localhost, IP addresses and the names in the option `hosts` only.',
  )

/**
 * Makes every route that is registered on an app from now on refuse requests whose end is ambiguous, whose host is not
 * accepted, or whose client lacks a certificate, before its handler runs: WebSocket upgrades, event streams and unknown
 * paths included. Counts the ambiguous ones, and closes the connections of a refused address without an answer: at once
 * when clients connect to this server without a proxy, else with the request, whose header names the client.
 */
export const refuseAmbiguousRequests = (
  app: TemplatedApp,
  { refusals, proxies, always, needsCertificate, acceptsHost }: RefusalOptions,
): TemplatedApp => {
  /** Refuses a request when its end is ambiguous, its host is not accepted, or its address is refused. */
  const isRefused = (res: HttpResponse, req: HttpRequest, method: string, isUpgrade: boolean): boolean => {
    const address = () => clientAddress(peerOf(res), req.getHeader('x-forwarded-for'), proxies)
    const now = performance.now()
    if (refusals.refuses(address, now)) {
      res.close()
      return true
    }
    if (needsCertificate && !hasCertificate(res)) {
      refuse(res, noCertificate(), always(req))
      return true
    }
    const why = framingProblem(method, headersOf(req), isUpgrade)
    if (why !== undefined) {
      refusals.count(address(), now)
      refuse(res, new ConfabError('BAD_REQUEST', why), always(req))
      return true
    }
    if (acceptsHost === undefined || acceptsHost(req.getHeader('host'))) return false
    refuse(res, unknownHost(), always(req))
    return true
  }
  const closeRefused = (res: HttpResponse, change: number): void => {
    if (change === 1 && refusals.refuses(() => peerOf(res), performance.now())) res.close()
  }
  if (proxies === 0) app.filter((res, change) => closeRefused(res, Number(change)))
  for (const method of registrations) {
    const register = app[method].bind(app)
    app[method] = (pattern, handler) =>
      register(pattern, (res, req) => {
        if (!isRefused(res, req, req.getMethod(), false)) return handler(res, req)
      })
  }
  const registerSockets = app.ws.bind(app)
  app.ws = (pattern, behavior) =>
    registerSockets(pattern, {
      ...behavior,
      upgrade: (res, req, context) => {
        if (!isRefused(res, req, 'get', true)) return behavior.upgrade?.(res, req, context)
      },
    })
  return app
}
