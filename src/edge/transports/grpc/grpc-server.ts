import { logVerbosity, Server, ServerCredentials, setLogVerbosity } from '@grpc/grpc-js'
import { CloseCode, ConfabError, Limits } from '../../../events/index.ts'
import { addressKey, clientAddress, type Origin, Origins } from '../../limits/connection-limits.ts'
import type { EdgeLimits } from '../../ports/edge-limits.ts'
import type { EdgeMetrics } from '../../ports/edge-metrics.ts'
import type { SessionRequests } from '../../requests/session-requests.ts'
import { bearerToken } from '../../sessions/caller.ts'
import { Session } from '../../sessions/session.ts'
import type { WriteRoom } from '../../sessions/slow-consumers.ts'
import { CannotListenError } from '../listen.ts'
import { decodeRequest, service } from './grpc-messages.ts'
import { endCall, type GrpcCall, GrpcStream } from './grpc-stream.ts'

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

export interface GrpcParts {
  readonly frames: SessionRequests
  readonly writeRoom: WriteRoom
  readonly metrics: EdgeMetrics
}

/** The address of `127.0.0.1:5000`, or of `::1:5000`. */
const addressOf = (peer: string): string => peer.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1')

/** Calls of `Session`, each with a session. */
export class GrpcSessions {
  readonly #parts: GrpcParts
  readonly #limits: EdgeLimits
  readonly #origins: Origins

  constructor(parts: GrpcParts, limits: EdgeLimits) {
    this.#parts = parts
    this.#limits = limits
    this.#origins = new Origins(limits.addressSockets)
  }

  /** The handler of the method. */
  readonly open = (call: GrpcCall): void => {
    const { frames, writeRoom, metrics } = this.#parts
    let origin: Origin | undefined
    try {
      origin = this.#originOf(call)
    } catch (error) {
      if (!ConfabError.is(error)) throw error
      metrics.limited('address_sockets')
      endCall(call, CloseCode.tooManySockets, error.message)
      return
    }
    const [authorization = ''] = call.metadata.get('authorization')
    const deadline = Math.ceil((Date.now() + this.#limits.helloMs) / 1000)
    const session = new Session('grpc', bearerToken(String(authorization)), deadline)
    const stream = new GrpcStream(call, this.#limits.backpressureBytes, {
      closed: code => frames.closed(session, code),
      moved: () => writeRoom.moved(session),
      dropped: () => metrics.dropped(),
    })
    session.ws = stream
    frames.opened(session)
    call.on('data', (bytes: Buffer) => this.#received(session, bytes))
    call.on('end', () => stream.finish())
    call.on('cancelled', () => stream.cancelled())
    // A call that has ended stays for as long as its client does not take what was said last.
    if (origin !== undefined) call.on('close', () => this.#origins.release(origin))
  }

  #received(session: Session, bytes: Buffer): void {
    if (session.closed) return
    const { frames } = this.#parts
    const started = performance.now()
    if (bytes.length > Limits.frameBytes) {
      frames.tooLarge(session, bytes.length, null, started)
      return
    }
    let value: Record<string, unknown>
    try {
      value = decodeRequest(bytes)
    } catch (error) {
      frames.unreadable(session, error, started)
      return
    }
    frames.take(session, value, bytes.length, started)
  }

  #originOf(call: GrpcCall): Origin | undefined {
    if (!this.#origins.isCounting) return undefined
    const forwarded = call.metadata.get('x-forwarded-for').join(', ')
    return this.#origins.take(
      addressKey(clientAddress(addressOf(call.getPeer()), forwarded, this.#limits.trustProxy)),
    )
  }
}
