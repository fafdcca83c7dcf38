import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { redact } from '../base/redact.ts'
import type { ServerTls } from '../base/tls-files.ts'
import { CannotListenError } from '../edge/index.ts'
import { ConfabError, ErrorRegistry } from '../events/index.ts'
import type { ProcessContext } from './lifecycle.ts'

export interface HttpAnswer {
  readonly status: number
  readonly type: string
  readonly body: string
  /** Further headers. */
  readonly headers?: Readonly<Record<string, string>>
}

/** Answers a request. Errors become answers with the status of their code. No answer contains a secret. */
export type HttpHandler = (request: IncomingMessage, url: URL) => Promise<HttpAnswer> | HttpAnswer

export type HttpMethod = 'GET' | 'POST'

/** Handlers by path and method. */
export type HttpRoutes = ReadonlyMap<string, Readonly<Partial<Record<HttpMethod, HttpHandler>>>>

export interface HttpListenerOptions {
  /** Name of the component, for errors and the log: `admin server`. */
  readonly component: string
  readonly host: string
  /** 0: any free port. */
  readonly port: number
  readonly routes: HttpRoutes
  /** Certificates of the listener. Default: connections in clear text. */
  readonly tls?: ServerTls | undefined
  /** Checks the header `Host`. Default: every name is answered. */
  readonly acceptsHost?: ((header: string) => boolean) | undefined
}

export interface HttpListener {
  /** `http`, or `https` with TLS. */
  readonly protocol: string
  readonly host: string
  readonly port: number
}

export const json = (status: number, body: object): HttpAnswer => ({
  status,
  type: 'application/json; charset=utf-8',
  body: JSON.stringify(body),
})

/** Connections at a time; operators and scrapers need a few. */
const maxConnections = 256

const routeOf = (request: IncomingMessage, url: URL, { routes, acceptsHost }: HttpListenerOptions) => {
  if (acceptsHost !== undefined && !acceptsHost(request.headers.host ?? ''))
    throw new ConfabError(
      'FORBIDDEN',
      'Host: this listener does not answer to this name. See the option `hosts`.',
    )
  const methods = routes.get(url.pathname)
  if (methods === undefined)
    throw new ConfabError('NOT_FOUND', `No such path. The paths are ${[...routes.keys()].join(', ')}.`)
  const method = request.method === 'HEAD' ? 'GET' : request.method
  const handler = methods[method as HttpMethod]
  if (handler !== undefined) return handler
  const allowed = allowedMethods(methods)
  throw new ConfabError('METHOD_NOT_ALLOWED', `Method not allowed. Use ${allowed.join(' or ')}.`)
}

const allowedMethods = (methods: object): string[] =>
  Object.keys(methods).flatMap(method => (method === 'GET' ? ['GET', 'HEAD'] : [method]))

/** Time for a handshake of TLS, ms. */
const handshakeMs = 10_000

const serverOf = (tls: ServerTls | undefined, listener: RequestListener) => {
  if (tls === undefined) return createServer(listener)
  const { cert, key, clientCa, minVersion } = tls
  const isRequired = clientCa !== undefined
  const client = isRequired ? { ca: clientCa, requestCert: true, rejectUnauthorized: true } : {}
  const options = {
    cert,
    key,
    minVersion: `TLSv${minVersion}`,
    handshakeTimeout: handshakeMs,
    ...client,
  } as const
  return createTlsServer(options, listener)
}

/** Serves the routes of one component on a port of its own, until the process stops. Rejects with CannotListenError. */
export const openHttpListener = async (
  options: HttpListenerOptions,
  { logger, onStop }: Pick<ProcessContext, 'logger' | 'onStop'>,
): Promise<HttpListener> => {
  const { component, host, port, routes } = options

  const answerOf = async (request: IncomingMessage, url: URL): Promise<HttpAnswer> => {
    try {
      return await routeOf(request, url, options)(request, url)
    } catch (thrown) {
      const error = ConfabError.from(thrown)
      if (error.code === 'INTERNAL')
        logger.error({ err: thrown, path: url.pathname }, `${component}: request failed`)
      return json(ErrorRegistry[error.code].status, { ok: false, error: error.toBody() })
    }
  }
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = URL.parse(request.url ?? '/', 'http://listener') ?? new URL('http://listener/malformed')
    const { status, type, body, headers } = await answerOf(request, url)
    const methods = routes.get(url.pathname)
    response.writeHead(status, {
      ...headers,
      'content-type': type,
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      ...(status === 405 && methods !== undefined ? { allow: allowedMethods(methods).join(', ') } : {}),
      ...(status === 401 ? { 'www-authenticate': 'Bearer' } : {}),
      // The rest of a body that was not read must not be taken for a request.
      ...(request.complete ? {} : { connection: 'close' }),
    })
    response.end(redact(body))
  }

  const server = serverOf(options.tls, (request, response) => {
    handle(request, response).catch(error => {
      logger.error({ err: error }, `${component}: request failed`)
      response.destroy()
    })
  })
  server.maxConnections = maxConnections
  server.listen(port, host)
  try {
    await once(server, 'listening')
  } catch (error) {
    throw new CannotListenError(`on ${host}:${port}`, error)
  }
  onStop(component, async () => {
    const closed = new Promise(resolve => server.close(resolve))
    server.closeAllConnections()
    await closed
  })
  const protocol = options.tls === undefined ? 'http' : 'https'
  return { protocol, host, port: (server.address() as AddressInfo).port }
}

/** Address of a listener as a URL. */
export const urlOf = ({ protocol, host, port }: HttpListener): string =>
  `${protocol}://${host.includes(':') ? `[${host}]` : host}:${port}`
