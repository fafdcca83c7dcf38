import type { IncomingMessage } from 'node:http'
import { LRUCache } from 'lru-cache'
import { type ActionDetails, AuditError } from '../audit/index.ts'
import { isLoopback } from '../base/host-names.ts'
import { KiB } from '../base/option-types.ts'
import { readServerTls } from '../base/tls-files.ts'
import {
  addressKey,
  CannotListenError,
  ClientTokens,
  type Identity,
  type TokenVerifier,
} from '../edge/index.ts'
import { ConfabError } from '../events/index.ts'
import { adminRole } from '../infra/tokens/index.ts'
import { acceptedHosts } from './accepted-hosts.ts'
import type { AdminRequest, AdminRoute } from './admin-routes.ts'
import {
  type HttpHandler,
  type HttpListener,
  type HttpMethod,
  json,
  openHttpListener,
  urlOf,
} from './http-listener.ts'
import type { ProcessContext, Readiness } from './lifecycle.ts'
import { opsPage } from './ops/ops-page.ts'
import { isReady } from './status-server.ts'

export interface AdminServerParts {
  readonly readiness: () => Promise<Readiness>
  /**
   * Verifies the tokens of admin requests. That of an edge node refuses revoked tokens. Undefined: this process has no
   * keys, and refuses all admin requests.
   */
  readonly tokens: TokenVerifier | undefined
}

const defaultPort = 9080
const maxBodyBytes = 64 * KiB
const maxRecentAdmins = 1_000

/** Reads the JSON object in a body. Throws ConfabError. */
const bodyOf = async (request: IncomingMessage): Promise<Readonly<Record<string, unknown>>> => {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.byteLength
    if (size > maxBodyBytes) throw new ConfabError('TOO_LARGE')
    chunks.push(chunk)
  }
  if (size === 0) return {}
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks)))
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return value as Readonly<Record<string, unknown>>
  } catch {
    // Not JSON.
  }
  throw new ConfabError('BAD_REQUEST', 'The body must be one JSON object in UTF-8.')
}

/** Returns the identity in the token of a request. Rejects with ConfabError. */
const identityOf = async (
  { headers, socket }: IncomingMessage,
  tokens: ClientTokens | undefined,
): Promise<Identity> => {
  const token = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1]
  if (token === undefined)
    throw new ConfabError('UNAUTHENTICATED', 'No token. Send the header Authorization: Bearer TOKEN.')
  if (tokens === undefined)
    throw new ConfabError(
      'UNAVAILABLE',
      'This process has no keys that verify tokens. Set jwt.secret or jwt.jwks.',
    )
  return await tokens.verify(addressKey(socket.remoteAddress ?? ''), token)
}

const actorOf = ({ user, role }: Identity): NonNullable<ActionDetails['by']> => ({
  actor: `token:${user}`,
  role,
})

/**
 * Serves metrics, details of the readiness and the admin requests of this process, on a port of its own. Admin requests
 * need a token with the role; metrics and readiness need none, so only the network protects them.
 *
 * Resolves with the address; undefined when the listener is off. Without a configured port it takes a free one when
 * the default port is in use. Rejects with CannotListenError.
 */
export const openAdminServer = async (
  context: ProcessContext,
  { readiness, tokens: verifier }: AdminServerParts,
): Promise<string | undefined> => {
  const { config, logger, registry, admin, audit } = context
  const { adminHost: host, adminPort } = config
  if (adminPort === 'off') return undefined

  const routes = new Map<string, Partial<Record<HttpMethod, HttpHandler>>>()
  routes.set('/healthz', { GET: () => json(200, { ok: true }) })
  routes.set('/readyz', {
    GET: async () => {
      const parts = await readiness().catch(() => ({ parts: false }))
      const ok = isReady(parts)
      return json(ok ? 200 : 503, { ok, parts })
    },
  })
  routes.set('/metrics', {
    GET: async () => ({ status: 200, type: registry.contentType, body: await registry.metrics() }),
  })
  const limited = () => logger.warn('admin requests refused: too many invalid tokens of one address')
  const tokens = verifier && new ClientTokens(config.edge, verifier, limited)
  /** Not awaited: neither a stranger nor the time of the answer depends on the audit stream. */
  const refused = (request: IncomingMessage, url: URL, { code }: ConfabError, identity?: Identity): void => {
    const params = { method: request.method, path: url.pathname, address: request.socket.remoteAddress }
    const by = identity === undefined ? { actor: 'unknown' } : actorOf(identity)
    void audit.note('admin.refuse', { by, params }, { outcome: 'refused', code })
  }
  /** Returns the identity of an administrator, and records a request that is refused. Rejects with ConfabError. */
  const adminOf = async (request: IncomingMessage, url: URL): Promise<Identity> => {
    const identity = await identityOf(request, tokens).catch(error => {
      if (ConfabError.is(error) && error.code === 'UNAUTHENTICATED') refused(request, url, error)
      throw error
    })
    if (identity.role === adminRole) return identity
    const error = new ConfabError(
      'FORBIDDEN',
      `The token needs the claim confab_role with the value ${adminRole}.`,
    )
    refused(request, url, error, identity)
    throw error
  }
  /** Every admin request passes here: its token is checked, and it is recorded as its route says. */
  const guarded = ({ recording, handler }: AdminRoute): HttpHandler => {
    /** Time of the last record of each admin, as by `performance.now()`. An evicted admin is recorded again. */
    const recordedAt = new LRUCache<string, number>({ max: maxRecentAdmins })
    return async (request, url) => {
      const identity = await adminOf(request, url)
      const body = request.method === 'POST' ? await bodyOf(request) : {}
      const asked: AdminRequest = { admin: identity.user, query: url.searchParams, body }
      if (recording === 'unrecorded') return json(200, await handler(asked))
      const { action, target, params, repeatMs = 0 } = recording
      const last = recordedAt.get(identity.user)
      if (last !== undefined && performance.now() - last < repeatMs) return json(200, await handler(asked))
      const details = { by: actorOf(identity), target: target?.(asked), params: params?.(asked) }
      const answer = await audit
        .perform(action, details, () => handler(asked))
        .catch(error => {
          if (!AuditError.is(error)) throw error
          throw new ConfabError(
            'UNAVAILABLE',
            'The audit stream cannot be written, so nothing was changed.',
            {
              cause: error,
              detail: error.message,
            },
          )
        })
      recordedAt.set(identity.user, performance.now())
      return json(200, answer)
    }
  }
  for (const [path, methods] of admin.entries())
    routes.set(
      path,
      Object.fromEntries(Object.entries(methods).map(([method, route]) => [method, guarded(route)])),
    )

  for (const [path, handler] of opsPage()) routes.set(path, { GET: handler })

  const listen = (port: number): Promise<HttpListener> =>
    openHttpListener(
      {
        component: 'admin server',
        host,
        port,
        routes,
        tls: readServerTls('admin', config.adminTls, config.edgeTls.minVersion),
        // On another address, operators and scrapers use names that confab does not know.
        acceptsHost: isLoopback(host) ? acceptedHosts(config) : undefined,
      },
      context,
    )
  const listener = await listen(adminPort ?? defaultPort).catch(async error => {
    if (adminPort !== undefined || !(error instanceof CannotListenError)) throw error
    const other = await listen(0)
    logger.warn({ port: other.port }, `admin port ${defaultPort} is in use: listening on a free port`)
    return other
  })
  return urlOf(listener)
}
