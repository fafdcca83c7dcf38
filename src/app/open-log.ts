import { nuid } from '@nats-io/transport-node'
import type { Logger } from '../base/logger.ts'
import { settlesWithin } from '../base/timeout.ts'
import {
  type BusLimits,
  type CommandBus,
  type CommandBusOptions,
  createCommandBus,
  createStates,
  type EventLog,
  type LiveFeed,
  type MessageLookup,
  type SharedConversations,
  type SnapshotStore,
  type StateReader,
} from '../commands/index.ts'
import type { Signals } from '../edge/index.ts'
import {
  type Applied,
  applyStreams,
  checkStreams,
  type Followed,
  type InterestMode,
  JetStreamEventLog,
  JetStreamSnapshots,
  LiveLayout,
  loadStreams,
  type Nats,
  NatsLiveFeed,
  NatsSignals,
} from '../infra/nats/index.ts'
import {
  checkRegion,
  HomeFence,
  Lease,
  MirrorAcks,
  MirrorReports,
  placementOf,
  type Region,
  type Topology,
} from '../infra/nats/regions/index.ts'

export interface LogOptions {
  /** The part of the streams that this process follows. Default: everything. */
  readonly interest?: InterestMode
  /** Replicas of each stream. Default: existing streams keep theirs, new streams get one. */
  readonly replicas?: number | undefined
  /**
   * Whether this process creates and updates the streams, as on an embedded server. Default: an operator does it with
   * `confab streams apply`, and the process checks them.
   */
  readonly ownsStreams?: boolean
  /** The regions of the system and the one of this process. Default: the system has one region. */
  readonly regions?:
    | {
        readonly topology: Topology
        readonly own: Region
        /** Whether this process writes the streams whose home is its region. */
        readonly writes: boolean
      }
    | undefined
  /** Time without an answer after which an append or a read fails, ms. Default: 3,000. */
  readonly timeoutMs?: number
  readonly onNotice?: (notice: string) => void
}

/** The log and its live feed. `feed` is not started: listeners register before the start. */
export interface OpenedLog {
  /** The outcome for each stream, where this process creates and changes them. */
  readonly applied: readonly Applied[]
  readonly layout: LiveLayout
  readonly log: EventLog
  /** The lease of a process that writes, in a system of several regions. */
  readonly lease: Lease | undefined
  /** Guards `log` by the lease. */
  readonly fence: HomeFence | undefined
  readonly feed: LiveFeed
  /** Narrows together with the feed. */
  readonly signals: Signals
  readonly snapshots: SnapshotStore
  /** The interest of the feed, and the counts of events that it delivered and skipped. */
  readonly followed: () => Followed
  /** Stops the feed. The connection stays open. */
  close(): Promise<void>
}

/** Creates or checks the streams. `different`: differences from their definitions that are left. Throws NatsError. */
const prepareStreams = async (
  { connection }: Nats,
  { replicas, ownsStreams = false, regions }: LogOptions,
): Promise<{ readonly applied: readonly Applied[]; readonly different: readonly string[] }> => {
  const definitions = loadStreams({ replicas })
  if (regions !== undefined) {
    const { topology, own } = regions
    return { applied: [], different: await checkRegion(connection, topology, definitions, own) }
  }
  if (!ownsStreams) return { applied: [], different: await checkStreams(connection, definitions) }
  const applied = await applyStreams(connection, definitions)
  return {
    applied,
    different: applied.flatMap(({ stream, kept }) => kept.map(setting => `${setting} of ${stream}`)),
  }
}

/** The streams whose commands are acknowledged when a mirror has the event, too. Undefined when there are none. */
const streamsThatWait = (topology: Topology): ReadonlySet<string> | undefined => {
  const waiting = loadStreams().filter(definition => placementOf(topology, definition)?.ack === 'mirror')
  return waiting.length === 0 ? undefined : new Set(waiting.map(({ name }) => name))
}

const openLease = (nats: Nats, { topology, own }: NonNullable<LogOptions['regions']>): Lease =>
  new Lease(nats, {
    region: own.name,
    node: nuid.next(),
    regions: topology.regions,
    settings: topology.lease,
  })

/** Opens the log, after creating or checking its streams. Throws NatsError. */
export const openLog = async (nats: Nats, options: LogOptions): Promise<OpenedLog> => {
  const { interest = 'everything', timeoutMs, onNotice } = options
  const { applied, different } = await prepareStreams(nats, options)
  if (different.length > 0) onNotice?.(`streams differ from their definitions: ${different.join(', ')}`)
  const layout = await LiveLayout.open(nats)
  const lease = options.regions?.writes ? openLease(nats, options.regions) : undefined
  // A new home opens sooner than by the next renewal.
  layout.watch(() => lease?.renew())
  const waiting = lease && options.regions && streamsThatWait(options.regions.topology)
  const mirrors = waiting && new MirrorAcks(nats, layout, { streams: waiting })
  const fence = lease && new HomeFence(lease, mirrors)
  const log = new JetStreamEventLog(nats, layout, {
    fence,
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  })
  const signals = new NatsSignals(nats)
  const feed = new NatsLiveFeed(nats, layout, {
    interest,
    signals,
    ...(onNotice === undefined ? {} : { onNotice }),
  })
  const reports = waiting && new MirrorReports(nats, feed, layout, waiting)
  return {
    applied,
    layout,
    log,
    lease,
    fence,
    feed,
    signals,
    snapshots: new JetStreamSnapshots(nats, layout),
    followed: () => feed.followed,
    close: async () => {
      await feed.stop()
      reports?.stop()
      lease?.close()
      mirrors?.close()
      layout.close()
      log.close()
    },
  }
}

export interface BusOptions {
  /** Finds messages that are no longer in the cached state of their conversation. */
  readonly lookup: (log: EventLog, feed: LiveFeed) => MessageLookup
  /** Finds the conversations that two users share. Default: none, as for imports, which create channels only. */
  readonly shared?: SharedConversations
  readonly limits?: Partial<BusLimits>
  /** Returns the highest seq of a conversation that the timeline has seen. Default: the end of a log is not checked. */
  readonly viewHead?: (c: string) => Promise<number>
  /** Whether this node decides the commands of an aggregate. Default: of all. */
  readonly decides?: CommandBusOptions['decides'] | undefined
  /** Receives the causes of commands that fail with an internal error. Default: not logged. */
  readonly logger?: Logger | undefined
}

/** Creates a command bus on a log. Call it before the components that read its states register with the feed. */
export const openBus = (
  { layout, log, feed, snapshots }: OpenedLog,
  { lookup, shared, limits, viewHead, decides, logger }: BusOptions,
): { readonly bus: CommandBus; readonly states: StateReader } => {
  const bounds = limits === undefined ? {} : { limits }
  const states = createStates({
    epochs: layout,
    log,
    feed,
    snapshots,
    logger,
    ...bounds,
    ...(viewHead === undefined ? {} : { viewHead }),
  })
  const bus = createCommandBus({
    log,
    states,
    lookup: lookup(log, feed),
    shared,
    epochs: layout,
    ...(decides === undefined ? {} : { decides }),
    ...bounds,
  })
  return { bus, states }
}

/** The log with a command bus. `feed` is not started: listeners register before the start. */
export interface LogWithBus extends Omit<OpenedLog, 'close'> {
  readonly bus: CommandBus
  readonly states: StateReader
  /** Waits at most `ms` for commands in progress, then stops the feed. The connection stays open. */
  close(ms: number): Promise<void>
}

/** Opens the log with a command bus, for a process without other roles. Throws NatsError. */
export const openLogWithBus = async (nats: Nats, options: BusOptions & LogOptions): Promise<LogWithBus> => {
  const opened = await openLog(nats, options)
  const { bus, states } = openBus(opened, options)
  return {
    ...opened,
    bus,
    states,
    close: async ms => {
      await settlesWithin(ms, bus.drain())
      await opened.close()
    },
  }
}
