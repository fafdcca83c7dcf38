import { once } from 'node:events'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { createServer } from 'node:tls'
import type { TestAuthority } from './certificates.ts'

interface Teardown {
  teardown(fn: () => unknown): void
}

/**
 * Ends TLS in front of a real server, for servers whose own TLS takes files in other forms. It requires a client
 * certificate of the authority. Resolves with its port.
 */
export const startTlsProxy = async (
  t: Teardown,
  authority: TestAuthority,
  target: { readonly host: string; readonly port: number },
): Promise<number> => {
  const { cert, key } = await authority.server()
  const sockets = new Set<Socket>()
  const server = createServer(
    { cert, key, ca: authority.ca, requestCert: true, rejectUnauthorized: true },
    client => {
      const upstream = connect(target)
      for (const [from, to] of [
        [client, upstream],
        [upstream, client],
      ] as const) {
        sockets.add(from)
        from.on('error', () => to.destroy())
        from.on('close', () => {
          sockets.delete(from)
          to.destroy()
        })
        from.pipe(to)
      }
    },
  )
  server.on('tlsClientError', () => {})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return (server.address() as AddressInfo).port
}
