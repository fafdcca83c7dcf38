import { logVerbosity, Server, ServerCredentials, setLogVerbosity } from '@grpc/grpc-js'
import type { EdgeLimits } from '../../ports/edge-limits.ts'
import { CannotListenError } from '../cannot-listen.ts'
import { service } from './grpc-service.ts'
import { type GrpcParts, GrpcSessions } from './grpc-sessions.ts'

/** A server of the service `confab.v1.Confab`. */
export interface GrpcServer {
  readonly port: number
  /** Takes no new calls; those that are here are ended by whoever has their sessions. */
  drain(): void
  stop(): void
}

/** How long a client has for the answer to a ping, ms. */
const pongMs = 5_000
/** After which a connection without calls is closed, ms. */
const idleMs = 5 * 60_000

/** Listens for services, without TLS, as the edge does for browsers. Rejects when it cannot. */
export const startGrpc = async (
  parts: GrpcParts,
  limits: EdgeLimits,
  { host, port }: { host: string; port: number },
): Promise<GrpcServer> => {
  // It writes to standard error, in its own way; what matters is said here.
  setLogVerbosity(logVerbosity.NONE)
  const server = new Server({
    'grpc.max_receive_message_length': limits.transportBytes,
    'grpc.max_send_message_length': -1,
    'grpc.keepalive_time_ms': limits.heartbeatMs,
    'grpc.keepalive_timeout_ms': pongMs,
    'grpc.max_connection_idle_ms': idleMs,
    'grpc.enable_channelz': 0,
  })
  server.addService(service, { Session: new GrpcSessions(parts, limits).open })
  const address = `${host.includes(':') ? `[${host}]` : host}:${port}`
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, given) => {
      if (error === null) resolve(given)
      else reject(new CannotListenError(`for gRPC on ${address}`, error))
    })
  })
  return {
    port: bound,
    drain: () => server.tryShutdown(() => {}),
    stop: () => server.forceShutdown(),
  }
}
