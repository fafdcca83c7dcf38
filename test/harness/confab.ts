import { rmSync } from 'node:fs'
import { join } from 'node:path'
import {
  type BusLimits,
  type CommandBus,
  createCommandBus,
  createStates,
  createViewLookup,
  type EventLog,
  type LiveFeed,
} from '../../src/commands/index.ts'
import { type Edge, type EdgeLimits, type EdgeOptions, startEdge } from '../../src/edge/index.ts'
import { openMediaFolder } from '../../src/infra/media-folder/index.ts'
import {
  createSessionQueries,
  discoverLog,
  type InterestMode,
  JetStreamEventLog,
  JetStreamSnapshots,
  type Nats,
  NatsEventSource,
  NatsLiveFeed,
  NatsSignals,
  openLastSeenBucket,
  openPresenceBucket,
  openRevocationBucket,
} from '../../src/infra/nats/index.ts'
import { openSqliteStores, openSqliteViews } from '../../src/infra/sqlite/index.ts'
import { createEdgeMetrics, createRegistry } from '../../src/infra/telemetry/index.ts'
import { createTokenVerifier, signDevToken } from '../../src/infra/tokens/index.ts'
import { loadUws } from '../../src/infra/uws/index.ts'
import { Media, type MediaLimits, type MediaStore } from '../../src/media/index.ts'
import {
  type ProjectionName,
  ProjectionRunner,
  projectionNames,
  type Views,
} from '../../src/projections/index.ts'
import { startNats, type TestNats } from './nats.ts'
import { RawClient, type RawClientOptions } from './raw-client.ts'
import { SlowSocket } from './slow-socket.ts'
import { tempFolder } from './temp-folder.ts'

interface Teardown {
  teardown(fn: () => unknown): void
}

export interface ConfabOptions {
  /** The NATS of another confab, so that both form one system. Default: a server of its own. */
  readonly nats?: TestNats
  readonly limits?: Partial<EdgeLimits>
  /** Which events the feed follows. Default `everything`; `conversations` needs digests (`writeDigests`). */
  readonly interest?: InterestMode
  readonly edge?: Partial<EdgeOptions>
  readonly commands?: Partial<BusLimits>
  /** Default: a folder of its own. */
  readonly mediaStore?: MediaStore
  readonly mediaLimits?: Partial<MediaLimits>
  /** Wraps the edge's log. */
  readonly wrapLog?: (log: EventLog) => EventLog
  readonly wrapViews?: (views: Views) => Views
  /** Wraps the live feed for all its listeners. */
  readonly wrapFeed?: (feed: LiveFeed) => LiveFeed
}

/** A complete confab in the test's process: a real nats-server, SQLite, projections, an edge on a free port. */
export interface TestConfab {
  readonly nats: TestNats
  readonly connection: Nats
  readonly edge: Edge
  readonly bus: CommandBus
  readonly log: EventLog
  readonly feed: NatsLiveFeed
  readonly views: Views
  readonly signals: NatsSignals
  readonly media: Media
  /** `http://127.0.0.1:…` */
  readonly url: string
  /** The edge's log, as parsed JSON lines. */
  readonly logged: readonly Record<string, unknown>[]
  readonly secret: string
  /** Returns the metrics in the format of Prometheus. */
  metrics(): Promise<string>
  token(user: string, options?: { expiresInSeconds?: number }): Promise<string>
  /** Opens a socket and sends hello. */
  connect(
    user: string,
    options?: RawClientOptions & { device?: string; resume?: Record<string, number> },
  ): Promise<RawClient>
  /** The same for a client that reads only on demand. */
  connectSlow(user: string, options?: { resume?: Record<string, number> }): Promise<SlowSocket>
  /** Opens a socket without hello. */
  socket(options?: RawClientOptions): Promise<RawClient>
  /** Pauses a view, or all, and resumes it. */
  pause(...projections: ProjectionName[]): void
  resume(...projections: ProjectionName[]): void
}

export const testSecret = 'a secret that only tests know, 32 bytes'

export const startConfab = async (t: Teardown, options: ConfabOptions = {}): Promise<TestConfab> => {
  const folder = tempFolder(t)
  const nats = options.nats ?? (await startNats(t))
  const connection = await nats.connect()
  const layout = await discoverLog(connection.connection)
  const log = new JetStreamEventLog(connection, layout)
  const signals = new NatsSignals(connection)
  const natsFeed = new NatsLiveFeed(connection, layout, {
    signals,
    ...(options.interest === undefined ? {} : { interest: options.interest }),
  })
  const feed = options.wrapFeed?.(natsFeed) ?? natsFeed
  const file = join(folder, 'views.db')
  const stores = openSqliteStores(file)
  const projections = new ProjectionRunner({
    source: new NatsEventSource(connection, layout),
    stores,
    log: { info() {}, warn() {}, error() {} },
  })
  await projections.start()
  const sqliteViews = openSqliteViews(file)
  const views = options.wrapViews?.(sqliteViews) ?? sqliteViews
  const states = createStates({
    log,
    snapshots: new JetStreamSnapshots(connection),
    feed,
    viewHead: async c => (await views.timeline.head(c))?.seq ?? 0,
    ...(options.commands === undefined ? {} : { limits: options.commands }),
  })
  const bus = createCommandBus({
    log,
    lookup: createViewLookup(views.timeline, log),
    states,
    ...(options.commands === undefined ? {} : { limits: options.commands }),
  })
  const media = new Media(
    options.mediaStore ?? (await openMediaFolder(join(folder, 'media'))),
    options.mediaLimits,
  )
  const logged: Record<string, unknown>[] = []
  const note = (fields: object, message: string) => void logged.push({ ...fields, message })
  const registry = createRegistry()
  const edge = await startEdge({
    uws: loadUws(),
    bus,
    states,
    feed,
    views,
    log: options.wrapLog?.(log) ?? log,
    signals,
    presence: await openPresenceBucket(connection),
    lastSeen: await openLastSeenBucket(connection, { keepMs: 60_000 }),
    tokens: await createTokenVerifier({ secret: testSecret }),
    revocations: await openRevocationBucket(connection, { keepMs: 30 * 86_400_000 }),
    sessionQueries: createSessionQueries(connection),
    media,
    metrics: createEdgeMetrics(registry),
    logger: { debug: note, info: note, warn: note, error: note },
    web: false,
    ...options.edge,
    limits: { drainMs: 300, offlineMs: 100, presenceEveryMs: 50, ...options.limits },
  })
  await feed.start()

  const clients: RawClient[] = []
  t.teardown(async () => {
    for (const client of clients) client.close()
    await edge.stop()
    await feed.stop()
    await projections.stop()
    sqliteViews.close()
    await stores.close()
    rmSync(folder, { recursive: true, force: true })
  })

  const socket = async (socketOptions?: RawClientOptions): Promise<RawClient> => {
    const client = await RawClient.open(`ws://127.0.0.1:${edge.port}/v1/ws`, socketOptions)
    clients.push(client)
    return client
  }
  const token = (user: string, tokenOptions?: { expiresInSeconds?: number }) =>
    signDevToken(testSecret, user, tokenOptions)
  return {
    nats,
    connection,
    edge,
    bus,
    log,
    feed: natsFeed,
    views,
    signals,
    media,
    url: `http://127.0.0.1:${edge.port}`,
    logged,
    secret: testSecret,
    metrics: () => registry.metrics(),
    token,
    socket,
    connect: async (user, { device, resume, ...rest } = {}) => {
      const client = await socket(rest)
      await client.ok('hello', { token: await token(user), device, resume })
      return client
    },
    connectSlow: async (user, options = {}) => {
      const slow = await SlowSocket.open(edge.port)
      t.teardown(() => slow.close())
      slow.send({ id: 'hello', t: 'hello', token: await token(user), ...options })
      await slow.until(frame => frame.re === 'hello')
      return slow
    },
    pause: (...names) => {
      for (const name of names.length === 0 ? projectionNames : names) projections.pause(name)
    },
    resume: (...names) => {
      for (const name of names.length === 0 ? projectionNames : names) projections.resume(name)
    },
  }
}
