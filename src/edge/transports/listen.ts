import type { HttpResponse, TemplatedApp, us_listen_socket } from 'uWebSockets.js'

/** Thrown when an address is in use or invalid. For operators; docs/errors.md describes the code. */
export class CannotListenError extends Error {
  readonly code = 'CANNOT_LISTEN'

  /** `where`: preposition and address, such as `on [::1]:8080`. */
  constructor(where: string, cause?: unknown) {
    super(
      `cannot listen ${where}: stop the process that listens there (see confab doctor), or choose another port`,
      cause === undefined ? {} : { cause },
    )
    this.name = 'CannotListenError'
  }
}

/** uWebSockets.js accepts a host, a port and options together, but its types lack this overload. */
interface ListensExclusively {
  listen(host: string, port: number, options: number, cb: (socket: us_listen_socket | false) => void): void
}

/** LIBUS_LISTEN_EXCLUSIVE_PORT. The types declare it as an ambient enum, which has no value at run time. */
const exclusivePort = 1

/**
 * Listens on a port that no other process listens on. By default two processes may share a port, and each would receive
 * some of the connections. Rejects with CannotListenError.
 */
export const listen = (app: TemplatedApp, host: string, port: number): Promise<us_listen_socket> =>
  new Promise((resolve, reject) => {
    const listener = app as unknown as ListensExclusively
    listener.listen(host, port, exclusivePort, socket => {
      if (socket === false) reject(new CannotListenError(`on ${host}:${port}`))
      else resolve(socket)
    })
  })

/** Returns the address of a socket's peer as text. Must be called in the first turn of a handler. */
export const peerOf = (res: HttpResponse): string =>
  Buffer.from(res.getRemoteAddressAsText()).toString('latin1')
