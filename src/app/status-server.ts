import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { CannotListenError } from '../edge/index.ts'
import { ConfabError, ErrorRegistry } from '../events/index.ts'
import type { ProcessContext, Readiness } from './lifecycle.ts'

export interface StatusServer {
  readonly host: string
  readonly port: number
}

const paths = ['/healthz', '/readyz', '/metrics']

/** Serves `/healthz`, `/readyz` and `/metrics` of a process without the role `edge`. Rejects when it cannot listen. */
export const openStatusServer = async (
  { config: { host, port }, logger, registry, onStop }: ProcessContext,
  readiness: () => Promise<Readiness>,
): Promise<StatusServer> => {
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
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
      refuse(new ConfabError('METHOD_NOT_ALLOWED', 'Method not allowed. Use GET or HEAD.'))
    } else if (request.url === '/healthz') answer(200, 'application/json', '{"ok":true}')
    else if (request.url === '/readyz') {
      const parts = await readiness().catch(() => ({ parts: false }))
      const ready = Object.values(parts).every(part => part !== false)
      answer(ready ? 200 : 503, 'application/json', JSON.stringify({ ok: ready, parts }))
    } else if (request.url === '/metrics') answer(200, registry.contentType, await registry.metrics())
    else refuse(new ConfabError('NOT_FOUND', `No such path. The paths are ${paths.join(', ')}.`))
  }
  const server = createServer((request, response) => {
    handle(request, response).catch(error => {
      logger.error({ err: error, path: request.url }, 'status request failed')
      response.destroy()
    })
  })
  server.listen(port, host)
  try {
    await once(server, 'listening')
  } catch (error) {
    throw new CannotListenError(`on ${host}:${port}`, error)
  }
  onStop('status server', async () => {
    const closed = new Promise(resolve => server.close(resolve))
    server.closeAllConnections()
    await closed
  })
  return { host, port: (server.address() as AddressInfo).port }
}
