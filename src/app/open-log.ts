import { settlesWithin } from '../base/timeout.ts'
import {
  type BusLimits,
  type CommandBus,
  createCommandBus,
  createStates,
  type EventLog,
  type LiveFeed,
  type MessageLookup,
  type SnapshotStore,
  type StateReader,
} from '../commands/index.ts'
import type { Signals } from '../edge/index.ts'
import {
  applyStreams,
  discoverLog,
  type Followed,
  type InterestMode,
  JetStreamEventLog,
  JetStreamSnapshots,
  type LogLayout,
  loadStreams,
  type Nats,
  NatsLiveFeed,
  NatsSignals,
} from '../infra/nats/index.ts'

export interface LogOptions {
  /** What of the streams a process without the role commands follows. Default: everything. */
  readonly interest?: InterestMode
  /** Copies of each stream; not given: as they are. */
  readonly replicas?: number | undefined
  readonly onNotice?: (notice: string) => void
}

/** The log and what follows it. `feed` is not started: who listens to it does so first. */
export interface OpenedLog {
  readonly layout: LogLayout
  readonly log: EventLog
  readonly feed: LiveFeed
  /** Narrows together with the feed. */
  readonly signals: Signals
  readonly snapshots: SnapshotStore
  /** What the feed follows now, and how many events it has brought and passed over. */
  readonly followed: () => Followed
  /** The connection stays. */
  close(): Promise<void>
}

/** Opens the log of a connection; the streams are made as they are defined first. Throws NatsError. */
export const openLog = async (
  nats: Nats,
  { replicas, interest = 'everything', onNotice }: LogOptions,
): Promise<OpenedLog> => {
  await applyStreams(nats.connection, loadStreams({ replicas }))
  const layout = await discoverLog(nats.connection)
  const log = new JetStreamEventLog(nats, layout)
  const signals = new NatsSignals(nats)
  const feed = new NatsLiveFeed(nats, layout, {
    interest,
    signals,
    ...(onNotice === undefined ? {} : { onNotice }),
  })
  return {
    layout,
    log,
    feed,
    signals,
    snapshots: new JetStreamSnapshots(nats),
    followed: () => feed.followed,
    close: async () => {
      await feed.stop()
      log.close()
    },
  }
}

/** Raised when a region is promoted. */
const epoch = 1

export interface BusOptions {
  /** Finds messages that a conversation no longer remembers. */
  readonly lookup: (log: EventLog, feed: LiveFeed) => MessageLookup
  readonly limits?: Partial<BusLimits>
}

/** A command bus on a log. Make it before whoever reads its states while the feed is delivered. */
export const openBus = (
  { log, feed, snapshots }: OpenedLog,
  { lookup, limits }: BusOptions,
): { readonly bus: CommandBus; readonly states: StateReader } => {
  const bounds = limits === undefined ? {} : { limits }
  const states = createStates({ log, feed, snapshots, ...bounds })
  const bus = createCommandBus({ log, states, lookup: lookup(log, feed), epoch, ...bounds })
  return { bus, states }
}

/** All that deciding and appending takes. `feed` is not started: who else listens to it does so first. */
export interface WriteSide extends Omit<OpenedLog, 'close'> {
  readonly bus: CommandBus
  readonly states: StateReader
  /** Waits for commands under way, `ms` at most, then lets go. The connection stays. */
  close(ms: number): Promise<void>
}

/** Puts the write side together on a connection, for who has nothing else there. Throws NatsError. */
export const openWriteSide = async (nats: Nats, options: BusOptions & LogOptions): Promise<WriteSide> => {
  const side = await openLog(nats, options)
  const { bus, states } = openBus(side, options)
  return {
    ...side,
    bus,
    states,
    close: async ms => {
      await settlesWithin(ms, bus.drain())
      await side.close()
    },
  }
}
