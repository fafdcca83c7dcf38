import type * as Uws from 'uWebSockets.js'
import type { HttpResponse, TemplatedApp, us_listen_socket } from 'uWebSockets.js'
import type { TlsVersion } from '../../base/tls-files.ts'

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

/** TLS of the listener for WebSockets and HTTP. The transport reads the files, which the caller has checked. */
export interface EdgeTls {
  readonly certFile: string
  readonly keyFile: string
  /** Authorities of client certificates: then every client needs one. */
  readonly clientCaFile?: string | undefined
  readonly minVersion: TlsVersion
}

/** The suites of TLS 1.2 with forward secrecy and authenticated encryption. All suites of TLS 1.3 have both. */
const suites = [
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':')

/**
 * A suite of TLS 1.2 that needs a key shared in advance, which no client has. The transport has no setting for the
 * version: with this suite alone, every handshake of TLS 1.2 fails.
 */
const noSuite = 'ECDHE-PSK-AES128-CBC-SHA'

/** Creates the app of the listener, with or without TLS. */
export const createApp = (uws: typeof Uws, tls: EdgeTls | undefined): TemplatedApp =>
  tls === undefined
    ? uws.App()
    : uws.SSLApp({
        cert_file_name: tls.certFile,
        key_file_name: tls.keyFile,
        ...(tls.clientCaFile === undefined ? {} : { ca_file_name: tls.clientCaFile }),
        ssl_ciphers: tls.minVersion === '1.3' ? noSuite : suites,
      })

/** Missing in the types of uWebSockets.js: the certificate in PEM, or an empty text. */
interface HasCertificate {
  getX509Certificate(): string
}

/**
 * Whether the client of a request has shown a certificate. The transport refuses wrong certificates itself, in the
 * handshake, and accepts clients without one.
 */
export const hasCertificate = (res: HttpResponse): boolean =>
  (res as unknown as HasCertificate).getX509Certificate() !== ''

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
