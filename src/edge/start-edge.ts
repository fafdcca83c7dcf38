import type { TemplatedApp, us_listen_socket } from 'uWebSockets.js'
import { randomUUID } from 'node:crypto'
import { type Static, Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import { createViewLookup } from '../commands/index.ts'
import { Id } from '../events/index.ts'
import { MediaSweeper } from '../media/index.ts'
import { Access } from './access/access.ts'
import { Memberships } from './access/memberships.ts'
import { ViewFreshness } from './access/view-freshness.ts'
import { ConversationReader } from './catch-up/conversation-reader.ts'
import { Resumer } from './catch-up/resume.ts'
import { SharedReads } from './catch-up/shared-reads.ts'
import { SlowConsumerCatchUp } from './catch-up/slow-consumer-catch-up.ts'
import { StreamCatchUp } from './catch-up/stream-catch-up.ts'
import { FanOut } from './delivery/fan-out.ts'
import { createInterest } from './delivery/interest.ts'
import { LiveEvents } from './delivery/live-events.ts'
import { Wire } from './delivery/wire.ts'
import type { EdgeOptions } from './edge-options.ts'
import { Admission } from './limits/admission.ts'
import { HelloRate } from './limits/hello-rate.ts'
import { defaultEdgeLimits, type EdgeLimits } from './ports/edge-limits.ts'
import { Contacts, LastSeen, PresenceBoard, PresenceCounts } from './presence/index.ts'
import { endOverdue, HelloHandler } from './requests/hello.ts'
import { createAnswerer } from './requests/index.ts'
import { createSentCheck } from './requests/media.ts'
import { SessionRequests } from './requests/session-requests.ts'
import { DeviceSessions } from './sessions/device-sessions.ts'
import { drainSessions } from './sessions/drain-sessions.ts'
import type { SocketData } from './sessions/session.ts'
import { SessionRegistry } from './sessions/session-registry.ts'
import { SlowConsumers } from './sessions/slow-consumers.ts'
import { WriteRoom } from './sessions/write-room.ts'
import { CallSignals } from './signals/call-signals.ts'
import { Markers } from './signals/markers.ts'
import { TypingBoard } from './signals/typing-board.ts'
import { CannotListenError } from './transports/cannot-listen.ts'
import type { GrpcParts } from './transports/grpc/grpc-sessions.ts'
import type { GrpcServer } from './transports/grpc/start-grpc.ts'
import { corsPolicy } from './transports/http/http-exchange.ts'
import { HttpRoutes, type Readiness } from './transports/http/http-routes.ts'
import { MediaRoutes } from './transports/http/media-routes.ts'
import { serveStaticFiles } from './transports/http/static-files.ts'
import { EventStreams } from './transports/sse/event-streams.ts'
import { Sockets } from './transports/websocket/sockets.ts'

/** A node that serves clients. */
export interface Edge {
  readonly host: string
  readonly port: number
  /** Of the gRPC service, where there is one. */
  readonly grpcPort: number | undefined
  /** Open sockets. */
  connections(): number
  /** Bytes that wait for slow sockets. Looks at every socket: for a scrape now and then. */
  bufferedBytes(): number
  /** Takes no new sockets, tells those that are here to go elsewhere, and closes with 1001 who has not gone, all within `drainMs`. */
  drain(): Promise<void>
  /** Closes everything at once. */
  stop(): Promise<void>
}

const TypingSignal = Type.Object({
  t: Type.Literal('signal'),
  type: Type.Literal('typing'),
  c: Id,
  user: Id,
  on: Type.Boolean(),
})
const typingCheck = TypeCompiler.Compile(TypingSignal)

const sweepMs = 500
/** Bytes that may wait for a socket before a reader of missed events waits for it. At most a quarter of what ends the socket. */
const roomBytes = 512 * 1024

/** Listens for clients. Start the feed after this, so that the edge hears all of it. Rejects when it cannot listen. */
export const startEdge = async (options: EdgeOptions): Promise<Edge> => {
  const { uws, bus, states, feed, views, log, signals, tokens, metrics, logger } = options
  const limits = Object.freeze({ ...defaultEdgeLimits, ...options.limits })
  const host = options.host ?? '127.0.0.1'
  const app = uws.App()

  const sessions = new SessionRegistry()
  const room = Math.min(roomBytes, limits.backpressureBytes / 4)
  // Twice the room: what a reader of missed events has waiting does not make its session slow.
  const slowFrom = room * 2
  const fanOut = new FanOut(app, sessions, { topicFrom: limits.topicFrom, lookBytes: slowFrom / 4 })
  const access = new Access(states, feed, limits.stalenessMs)
  const freshness = new ViewFreshness(views, feed)
  const memberships = new Memberships(views, feed, {
    bound: limits.membershipEvents,
    waitMs: limits.rosterWaitMs,
  })
  const reader = new ConversationReader(views.timeline, log, limits.lagEvents)
  const tails = new SharedReads(reader, limits.resumeCacheBytes, shared => metrics.resumeServed(shared))
  const writeRoom = new WriteRoom(room, limits.slowMs)
  const lastSeen =
    options.lastSeen === undefined
      ? undefined
      : new LastSeen(
          { store: options.lastSeen, contacts: new Contacts(states, views), logger },
          limits.lastSeenWaiting,
        )
  const presence = new PresenceBoard(
    { edge: randomUUID(), sessions, store: options.presence, lastSeen, metrics, logger },
    limits,
  )
  const devices = new DeviceSessions(signals, sessions)
  const resumer = new Resumer(
    { states, feed, tails, fanOut, writeRoom, logger, onResumed: events => metrics.resumed(events) },
    limits,
  )
  const marks = new Markers({ states, views, freshness, sessions, fanOut, logger }, limits)
  const typing = new TypingBoard(signals, limits)
  const calls = new CallSignals(
    { signals, sessions, access, states, onLimited: () => metrics.limited('call_rate') },
    limits,
  )
  const slowConsumers = new SlowConsumerCatchUp(
    { fanOut, writeRoom, resumer, onBehind: () => metrics.behind() },
    slowFrom,
  )
  const buffered = new SlowConsumers(sessions, {
    most: limits.bufferedBytes,
    slowFrom,
    onSlow: session => slowConsumers.slow(session),
  })
  const admission = new Admission(
    {
      sessions,
      load: () => Math.max(bus.load, buffered.load),
      refused: limit => metrics.limited(limit),
    },
    limits,
  )
  const lookup = createViewLookup(views.timeline, log)
  const answer = createAnswerer({
    bus,
    states,
    views,
    access,
    reader,
    freshness,
    memberships,
    presence,
    lastSeen,
    presenceCounts: new PresenceCounts(limits.presenceCounted, user => presence.stateOf(user)),
    resumer,
    typing,
    calls,
    media: options.media,
    lookup,
    limits,
  })
  const arrivals = new HelloRate(limits.hellos, () => metrics.limited('hello_rate'))
  const helloHandler = new HelloHandler(
    { arrivals, tokens, access, memberships, sessions, devices, presence, fanOut, resumer },
    limits,
  )
  const frames = new SessionRequests(
    {
      answer,
      admission,
      helloHandler,
      sessions,
      fanOut,
      presence,
      writeRoom,
      slowConsumers,
      metrics,
      logger,
    },
    limits,
  )
  const sockets = new Sockets({ frames, writeRoom, metrics }, limits)

  const catchUp = new StreamCatchUp(
    { states, log, feed, memberships, writeRoom, logger, onResumed: events => metrics.resumed(events) },
    limits,
  )
  const live = new LiveEvents({
    fanOut,
    sessions,
    memberships,
    resumer,
    tails,
    catchUp,
    slowConsumers,
    marks,
    metrics,
    logger,
  })
  feed.listen(live.listen, live.skipped)
  const interest = createInterest({
    fanOut,
    sessions,
    holdsUser: user => states.holdsUser(user),
    isCatchingUp: c => resumer.isFilling(c) || tails.isKeeping(c) || catchUp.wants(c),
  })
  feed.narrowTo(interest.events)
  signals.listen(signal => {
    if (typingCheck.Check(signal)) fanOut.publish(signal.c, Wire.of(typingPush(signal)))
    else if (!devices.heard(signal)) calls.receive(signal)
  }, interest.signals)

  let draining = false
  const readiness = async (): Promise<Readiness> => {
    const parts = {
      feed: access.isFresh,
      roster: await memberships.areKnown().catch(() => false),
      accepting: !draining,
      ...(await options.readiness?.().catch(() => ({ parts: false }))),
    }
    return { ready: Object.values(parts).every(part => part !== false), parts }
  }

  const cors = corsPolicy(options.corsOrigins ?? [])
  app.ws<SocketData>('/v1/ws', sockets.behavior())
  const streams = new EventStreams(
    {
      arrivals,
      tokens,
      access,
      memberships,
      sessions,
      presence,
      fanOut,
      catchUp,
      writeRoom,
      metrics,
      logger,
      cors,
    },
    limits,
  )
  streams.register(app)
  new HttpRoutes({
    answer,
    admission,
    tokens,
    presence,
    metrics,
    logger,
    readiness,
    cors,
    ...(options.signDevToken === undefined ? {} : { signDevToken: options.signDevToken }),
  }).register(app)
  const { media } = options
  let sweeper: MediaSweeper | undefined
  if (media !== undefined) {
    new MediaRoutes({ media, access, admission, tokens, logger, cors }).register(app)
    sweeper = new MediaSweeper({ media, wasSent: createSentCheck({ states, lookup, reader }), logger })
    sweeper.start()
  }
  if (options.web ?? true) serveStaticFiles(app, cors, media?.store.origin)

  const socket = await listenAlone(app, host, options.port ?? 0)
  const port = uws.us_socket_local_port(socket)
  const grpc = await openGrpc({ frames, writeRoom, metrics }, limits, host, options.grpcPort).catch(error => {
    app.close()
    throw error
  })
  const sweep = setInterval(() => {
    endOverdue(sessions, Date.now() / 1000, () => metrics.limited('hello_time'))
    buffered.look()
  }, sweepMs)
  sweep.unref()
  logger.info({ port, grpcPort: grpc?.port }, 'listening')

  const stop = async (): Promise<void> => {
    draining = true
    clearInterval(sweep)
    memberships.close()
    streams.close()
    presence.close()
    typing.close()
    marks.close()
    app.close()
    grpc?.stop()
    await sweeper?.stop()
  }

  const drain = async (): Promise<void> => {
    if (draining) return
    draining = true
    uws.us_listen_socket_close(socket)
    grpc?.drain()
    streams.drain(limits.drainMs)
    await drainSessions(sessions, limits.drainMs)
  }

  return {
    host,
    port,
    grpcPort: grpc?.port,
    connections: () => sessions.size,
    bufferedBytes: () => buffered.count(),
    drain,
    stop,
  }
}

/** Its library is loaded where it is wanted only. */
const openGrpc = async (
  parts: GrpcParts,
  limits: EdgeLimits,
  host: string,
  port: number | undefined,
): Promise<GrpcServer | undefined> => {
  if (port === undefined) return undefined
  const { startGrpc } = await import('./transports/grpc/start-grpc.ts')
  return await startGrpc(parts, limits, { host, port })
}

/** uWebSockets.js takes a host, a port and options together; its types know only two of the three at a time. */
interface ListensAlone {
  listen(host: string, port: number, options: number, cb: (socket: us_listen_socket | false) => void): void
}

/** LIBUS_LISTEN_EXCLUSIVE_PORT: the types have it as an ambient enum only. */
const exclusivePort = 1

/** Listens on a port that nobody else listens on: by default two processes would share it, and each get some of the clients. */
const listenAlone = (app: TemplatedApp, host: string, port: number): Promise<us_listen_socket> =>
  new Promise((resolve, reject) => {
    const listener = app as unknown as ListensAlone
    listener.listen(host, port, exclusivePort, socket => {
      if (socket === false) reject(new CannotListenError(`on ${host}:${port}`))
      else resolve(socket)
    })
  })

/** Only the fields of the protocol go on to clients. */
const typingPush = ({ t, type, c, user, on }: Static<typeof TypingSignal>) => ({ t, type, c, user, on })
