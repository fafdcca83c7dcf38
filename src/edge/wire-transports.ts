import type { HttpResponse, TemplatedApp, us_listen_socket } from 'uWebSockets.js'
import type { ServerTls } from '../base/tls-files.ts'
import { MediaSweeper } from '../media/index.ts'
import { EpochWatch } from './delivery/epoch-watch.ts'
import type { EdgeOptions } from './edge-options.ts'
import type { EdgeLimits } from './ports/edge-limits.ts'
import type { SocketData } from './sessions/session.ts'
import type { GrpcParts, GrpcServer } from './transports/grpc/grpc-server.ts'
import type { AnswerHeaders } from './transports/http/answer-headers.ts'
import { corsPolicy, socketOriginPolicy } from './transports/http/cors.ts'
import { HttpRoutes } from './transports/http/http-routes.ts'
import { MediaRoutes } from './transports/http/media-routes.ts'
import { serveStaticFiles } from './transports/http/static-files.ts'
import { listen, peerOf } from './transports/listen.ts'
import { SseSessions } from './transports/sse/sse-sessions.ts'
import { WebSockets } from './transports/websocket/websockets.ts'
import type { WiredDelivery } from './wire-delivery.ts'
import type { WiredRequests } from './wire-requests.ts'
import type { WiredSessions } from './wire-sessions.ts'

/** Wires the routes of the app, WebSocket, event stream, HTTP and media, and the gRPC server. */
export const wireTransports = (
  app: TemplatedApp,
  always: AnswerHeaders,
  options: EdgeOptions,
  limits: EdgeLimits,
  wired: WiredSessions & WiredDelivery & WiredRequests,
  isReady: () => Promise<boolean>,
) => {
  const { uws, media, metrics, logger, signDevToken } = options
  const { epochs, lostEvents, sessions, tokens, clientTokens, addresses, helloRate, presence } = wired
  const { access, isOnRoster, memberships, reader, fanOut, catchUp, writeRoom } = wired
  const { requests, answer, admission, quotas, reserve } = wired
  const policy = { always, cors: corsPolicy(options.corsOrigins ?? []) }

  const webSockets = new WebSockets(
    {
      requests,
      addresses,
      writeRoom,
      metrics,
      always,
      isOriginAllowed: socketOriginPolicy(options.socketOrigins ?? ['*']),
    },
    limits,
  )

  const onConnection = (res: HttpResponse, change: unknown): void => {
    // Negative for a connection that closes.
    if (Number(change) > 0 && !addresses.mayConnect(peerOf(res), performance.now())) res.close()
  }
  app.filter(onConnection)
  app.ws<SocketData>('/v1/ws', webSockets.behavior())
  const streams = new SseSessions(
    {
      helloRate,
      addresses,
      tokens,
      feed: options.feed,
      epochs,
      access,
      memberships,
      sessions,
      presence,
      fanOut,
      catchUp,
      writeRoom,
      metrics,
      logger,
      policy,
    },
    limits,
  )
  streams.register(app)
  const epochWatch = new EpochWatch(
    { epochs, feed: options.feed, sessions, drainStreams: ms => streams.drain(ms) },
    () => lostEvents.epoch,
    limits.drainMs / 2,
  )
  new HttpRoutes(
    {
      answer,
      admission,
      isOnRoster,
      tokens: clientTokens,
      addresses,
      presence,
      metrics,
      logger,
      isReady,
      policy,
      devTokenPolicy: {
        always,
        cors: corsPolicy((options.corsOrigins ?? []).filter(origin => origin !== '*')),
      },
      ...(signDevToken === undefined ? {} : { signDevToken }),
    },
    limits,
  ).register(app)
  let sweeper: MediaSweeper | undefined
  if (media !== undefined) {
    new MediaRoutes({
      media,
      access,
      reader,
      addresses,
      admission,
      quotas,
      reserve,
      tokens: clientTokens,
      logger,
      policy,
    }).register(app)
    sweeper = new MediaSweeper({ media, wasSent: wired.wasSent, logger })
  }
  if (options.web ?? true) serveStaticFiles(app, policy, logger, media?.store.origin)

  let socket: us_listen_socket | undefined
  let grpc: GrpcServer | undefined
  return {
    /** Listens for clients. Rejects with CannotListenError. */
    async start(host: string): Promise<{ port: number; grpcPort: number | undefined }> {
      socket = await listen(app, host, options.port ?? 0)
      const port = uws.us_socket_local_port(socket)
      try {
        grpc = await openGrpc(
          { requests, addresses, writeRoom, metrics, logger },
          limits,
          host,
          options.grpcPort,
          options.grpcTls,
        )
      } catch (error) {
        app.close()
        throw error
      }
      sweeper?.start()
      return { port, grpcPort: grpc?.port }
    },
    /** Accepts no new sessions, and ends event streams. */
    drain(): void {
      if (socket !== undefined) uws.us_listen_socket_close(socket)
      grpc?.drain()
      streams.drain(limits.drainMs)
    },
    async stop(): Promise<void> {
      streams.stop()
      epochWatch.close()
      app.close()
      grpc?.stop()
      await sweeper?.stop()
    },
  }
}

/** Starts gRPC when it has a port. Its library is loaded only then. */
const openGrpc = async (
  parts: GrpcParts,
  limits: EdgeLimits,
  host: string,
  port: number | undefined,
  tls: ServerTls | undefined,
): Promise<GrpcServer | undefined> => {
  if (port === undefined) return undefined
  const { startGrpc } = await import('./transports/grpc/grpc-server.ts')
  return await startGrpc(parts, limits, { host, port, tls })
}
