import type { HttpRequest, HttpResponse, TemplatedApp } from 'uWebSockets.js'
import { ConfabError } from '../../../events/index.ts'

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
const refuse = (res: HttpResponse, error: ConfabError): void => {
  const body = JSON.stringify({ ok: false, error: error.toBody() })
  res.onAborted(() => {})
  res.writeStatus(error.code === 'FORBIDDEN' ? '403 Forbidden' : '400 Bad Request')
  res.writeHeader('content-type', 'application/json; charset=utf-8')
  res.writeHeader('cache-control', 'no-store')
  res.writeHeader('connection', 'close')
  // False: the client does not read, so it cannot receive the answer.
  if (res.write(body.padEnd(refusalBytes))) res.end(undefined, true)
  else res.close()
}

const headersOf = (req: HttpRequest): [string, string][] => {
  const headers: [string, string][] = []
  req.forEach((name, value) => {
    headers.push([name, value])
  })
  return headers
}

/** Returns why a request is refused before its handler runs; undefined when it is not. */
type Check = (method: string, req: HttpRequest, isUpgrade?: boolean) => ConfabError | undefined

const checkOf =
  (acceptsHost: ((header: string) => boolean) | undefined): Check =>
  (method, req, isUpgrade) => {
    const why = framingProblem(method, headersOf(req), isUpgrade)
    if (why !== undefined) return new ConfabError('BAD_REQUEST', why)
    if (acceptsHost === undefined || acceptsHost(req.getHeader('host'))) return undefined
    return new ConfabError(
      'FORBIDDEN',
      'Host: a development server answers to localhost, IP addresses and the names in the option `hosts` only.',
    )
  }

/**
 * Makes every route that is registered on an app from now on refuse requests whose end is ambiguous, before its handler
 * runs: WebSocket upgrades, event streams and unknown paths included. With `acceptsHost`, so it does with requests
 * whose header `Host` is not accepted.
 */
export const refuseAmbiguousRequests = (
  app: TemplatedApp,
  acceptsHost?: (header: string) => boolean,
): TemplatedApp => {
  const problemOf = checkOf(acceptsHost)
  for (const method of registrations) {
    const register = app[method].bind(app)
    app[method] = (pattern, handler) =>
      register(pattern, (res, req) => {
        const why = problemOf(req.getMethod(), req)
        if (why === undefined) return handler(res, req)
        refuse(res, why)
      })
  }
  const registerSockets = app.ws.bind(app)
  app.ws = (pattern, behavior) =>
    registerSockets(pattern, {
      ...behavior,
      upgrade: (res, req, context) => {
        const why = problemOf('get', req, true)
        if (why === undefined) return behavior.upgrade?.(res, req, context)
        refuse(res, why)
      },
    })
  return app
}
