import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { CannotListenError } from '../edge/index.ts'
import { ConfabError, ErrorRegistry } from '../events/index.ts'

/** The structure of prom-client's registry that is needed here. */
interface MetricsRegistry {
  readonly contentType: string
  metrics(): Promise<string>
}

export interface StatusServerOptions {
  readonly host: string
  /** 0: a free one. */
  readonly port: number
  /** `false` for a part without which it is not ready; words are only told. */
  readonly readiness: () => Promise<Readonly<Record<string, boolean | string>>>
  readonly registry: MetricsRegistry
}

export interface StatusServer {
  readonly host: string
  readonly port: number
  stop(): Promise<void>
}

const paths = ['/healthz', '/readyz', '/metrics']

/** `/healthz`, `/readyz` and `/metrics` of a process that serves no clients. Rejects when it cannot listen. */
export const startStatusServer = async (options: StatusServerOptions): Promise<StatusServer> => {
  const { host, readiness, registry } = options
  const server = createServer(async (request, response) => {
    const answer = (status: number, type: string, body: string): void => {
      response.writeHead(status, { 'content-type': type }).end(body)
    }
    const refuse = (error: ConfabError): void =>
      answer(
        ErrorRegistry[error.code].status,
        'application/json',
        JSON.stringify({ ok: false, error: error.toBody() }),
      )
    const isKnown = paths.includes(request.url ?? '')
    if (isKnown && request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD')
      refuse(new ConfabError('METHOD_NOT_ALLOWED', 'This path has GET, HEAD.'))
    } else if (request.url === '/healthz') answer(200, 'application/json', '{"ok":true}')
    else if (request.url === '/readyz') {
      const parts = await readiness().catch(() => ({ parts: false }))
      const ready = Object.values(parts).every(part => part !== false)
      answer(ready ? 200 : 503, 'application/json', JSON.stringify({ ok: ready, parts }))
    } else if (request.url === '/metrics') answer(200, registry.contentType, await registry.metrics())
    else refuse(new ConfabError('NOT_FOUND', 'There is no such path.'))
  })
  server.listen(options.port, host)
  try {
    await once(server, 'listening')
  } catch (error) {
    throw new CannotListenError(`on ${host}:${options.port}`, error)
  }
  return {
    host,
    port: (server.address() as AddressInfo).port,
    stop: async () => {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
}
