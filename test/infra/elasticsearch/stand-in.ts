import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'

export interface Refusal {
  readonly status: number
  readonly body: unknown
  /** Whether it claims to be Elasticsearch. Default true. */
  readonly product?: boolean
  /** Receives request bodies. */
  readonly told?: (body: string) => void
}

/**
 * A proxy in front of the real server that answers some requests itself: answers that this machine's server cannot
 * give (it has no users) or gives too rarely. `refuse` sees each request; what it does not answer passes through.
 * Without a server behind, it has to answer every request.
 */
export const standIn = async (
  t: Test,
  behind: string | undefined,
  refuse: (request: IncomingMessage, answer: ServerResponse) => Refusal | undefined,
): Promise<string> => {
  const server = createServer((incoming, answer) => {
    const refusal = refuse(incoming, answer)
    if (refusal !== undefined) {
      let body = ''
      incoming.on('data', chunk => {
        body += chunk
      })
      incoming.once('end', () => refusal.told?.(body))
      answer.writeHead(refusal.status, {
        'content-type': 'application/vnd.elasticsearch+json;compatible-with=9',
        ...(refusal.product === false ? {} : { 'x-elastic-product': 'Elasticsearch' }),
      })
      answer.end(JSON.stringify(refusal.body))
      return
    }
    const { method, url, headers } = incoming
    const through = request(`${behind}${url}`, { method, headers }, told => {
      answer.writeHead(told.statusCode ?? 0, told.headers)
      told.pipe(answer)
    })
    through.on('error', () => answer.destroy())
    incoming.pipe(through)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    return new Promise(resolve => server.close(resolve))
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
