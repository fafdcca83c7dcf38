import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { logVerbosity, Server, ServerCredentials, setLogVerbosity } from '@grpc/grpc-js'
import type { Logger } from '../../../base/logger.ts'
import type { ServerTls } from '../../../base/tls-files.ts'
import { CloseCode, ConfabError } from '../../../events/index.ts'
import type { AddressCount, AddressLimit } from '../../limits/connection-limits.ts'
import type { EdgeLimits } from '../../ports/edge-limits.ts'
import type { EdgeMetrics } from '../../ports/edge-metrics.ts'
import type { FrameReader, SessionRequests } from '../../requests/session-requests.ts'
import { bearerToken } from '../../sessions/caller.ts'
import { deadlineIn } from '../../sessions/close-sessions.ts'
import { Session } from '../../sessions/session.ts'
import type { WriteRoom } from '../../sessions/slow-consumers.ts'
import { CannotListenError } from '../listen.ts'
import { decodeRequest, leadingMessageId, service } from './grpc-messages.ts'
import { endCall, type GrpcCall, GrpcStream } from './grpc-stream.ts'

export interface GrpcParts {
  readonly requests: SessionRequests
  readonly addresses: AddressLimit
  readonly writeRoom: WriteRoom
  readonly metrics: EdgeMetrics
  readonly logger: Logger
}

/** A server of the service `confab.v1.Confab`. */
export interface GrpcServer {
  readonly port: number
  /** Accepts no new calls. The drain of the sessions ends the open calls. */
  drain(): void
  stop(): void
}

/** Time for the answer to a keepalive ping, ms. */
const pongMs = 5_000
/** Time after which a connection without calls is closed, ms. */
const idleMs = 30_000
/** Time for a handshake of TLS, ms. */
const handshakeMs = 10_000

/** `ServerCredentials.createSsl` has no options for the version of TLS and the time of a handshake. */
class TlsCredentials extends ServerCredentials {
  constructor({ cert, key, clientCa, minVersion }: ServerTls) {
    const isRequired = clientCa !== undefined
    super(
      { requestCert: isRequired, rejectUnauthorized: isRequired, handshakeTimeout: handshakeMs },
      { cert, key, minVersion: `TLSv${minVersion}`, ...(isRequired ? { ca: clientCa } : {}) },
    )
  }

  _equals(other: ServerCredentials): boolean {
    return this === other
  }
}

/** Listens for gRPC. Rejects with CannotListenError. */
export const startGrpc = async (
  parts: GrpcParts,
  limits: EdgeLimits,
  { host, port, tls }: { host: string; port: number; tls?: ServerTls | undefined },
): Promise<GrpcServer> => {
  // grpc-js logs to standard error in a format of its own. This server logs what operators need.
  setLogVerbosity(logVerbosity.NONE)
  const server = new Server({
    'grpc.max_receive_message_length': limits.transportBytes,
    'grpc.max_send_message_length': -1,
    'grpc.keepalive_time_ms': limits.heartbeatMs,
    'grpc.keepalive_timeout_ms': pongMs,
    'grpc.max_connection_idle_ms': idleMs,
    'grpc.enable_channelz': 0,
  })
  server.addService(service, { Session: (call: GrpcCall) => openCall(call, parts, limits) })
  const { injectConnection } = server.createConnectionInjector(
    tls === undefined ? ServerCredentials.createInsecure() : new TlsCredentials(tls),
  )
  // A listener of its own, because grpc-js does not report a connection before its first call.
  const sockets = new Set<Socket>()
  const listener = createServer({ noDelay: true }, socket => {
    socket.on('error', () => {})
    if (!parts.addresses.mayConnect(socket.remoteAddress ?? '', performance.now())) {
      socket.destroy()
      return
    }
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    injectConnection(socket)
  })
  listener.listen(port, host)
  try {
    await once(listener, 'listening')
  } catch (error) {
    throw new CannotListenError(`for gRPC on ${host.includes(':') ? `[${host}]` : host}:${port}`, error)
  }
  // Such as too many open files. The listener continues.
  listener.on('error', error => parts.logger.error({ err: error }, 'a gRPC connection was not accepted'))
  return {
    port: (listener.address() as AddressInfo).port,
    drain: () => {
      listener.close()
      server.tryShutdown(() => {})
    },
    stop: () => {
      listener.close()
      server.forceShutdown()
      // The library does not know those that have not finished a handshake.
      for (const socket of sockets) socket.destroy()
    },
  }
}

/** Creates a session for a call of the method `Session`. */
const openCall = (call: GrpcCall, parts: GrpcParts, limits: EdgeLimits): void => {
  const { requests, addresses, writeRoom, metrics, logger } = parts
  let address: AddressCount
  try {
    const forwarded = call.metadata.get('x-forwarded-for').join(', ')
    address = addresses.opened(addressOf(call.getPeer()), forwarded)
  } catch (error) {
    if (!ConfabError.is(error)) throw error
    endCall(call, CloseCode.tooManySockets, error.message)
    return
  }
  const [authorization = ''] = call.metadata.get('authorization')
  const deadline = deadlineIn(limits.helloMs)
  const session = new Session('grpc', bearerToken(String(authorization)), deadline)
  session.address = address
  const stream = new GrpcStream(call, limits.backpressureBytes, {
    closed: code => requests.closed(session, code),
    moved: () => writeRoom.moved(session),
    dropped: () => metrics.dropped(),
    failed: error => logger.error({ session: session.id, err: error }, 'frame not encoded'),
  })
  session.ws = stream
  requests.opened(session)
  call.on('data', (bytes: Buffer) => {
    if (!session.closed) requests.frame(session, bytes, bytes.length, messages)
  })
  call.on('end', () => stream.finish())
  call.on('cancelled', () => stream.cancelled())
  // An ended call keeps its connection until the client has received the last messages, so it counts until `close`.
  call.on('close', () => addresses.closed(address, session.isIdentified))
}

const messages: FrameReader<Buffer> = { decode: decodeRequest, leadingId: leadingMessageId }

/** Returns the address of a peer such as `127.0.0.1:5000` or `::1:5000`. */
const addressOf = (peer: string): string => peer.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1')
