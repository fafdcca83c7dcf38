import {
  type BusLimits,
  type CommandBus,
  createCommandBus,
  type EventLog,
  type LiveFeed,
  type MessageLookup,
} from './commands/index.ts'
import {
  applyStreams,
  discoverLog,
  JetStreamEventLog,
  JetStreamSnapshots,
  type LogLayout,
  loadStreams,
  type Nats,
  NatsLiveFeed,
} from './infra/nats/index.ts'

/** Raised when a region is promoted. */
const epoch = 1

export interface WriteSideOptions {
  /** Finds messages that a conversation no longer remembers. */
  readonly lookup: (log: EventLog, feed: LiveFeed) => MessageLookup
  readonly limits?: Partial<BusLimits>
  /** Copies of each stream; not given: as they are. */
  readonly replicas?: number | undefined
  readonly onNotice?: (notice: string) => void
}

/** All that deciding and appending takes. `feed` is not started: who else listens to it does so first. */
export interface WriteSide {
  readonly layout: LogLayout
  readonly log: EventLog
  readonly feed: LiveFeed
  readonly bus: CommandBus
  /** Waits for commands under way, `ms` at most, then lets go. The connection stays. */
  close(ms: number): Promise<void>
}

/** Puts the write side together on a connection; the streams are made as they are defined first. Throws NatsError. */
export const openWriteSide = async (nats: Nats, options: WriteSideOptions): Promise<WriteSide> => {
  const { lookup, limits, replicas, onNotice } = options
  await applyStreams(nats.connection, loadStreams({ replicas }))
  const layout = await discoverLog(nats.connection)
  const log = new JetStreamEventLog(nats, layout)
  const feed = new NatsLiveFeed(nats, layout, onNotice === undefined ? {} : { onNotice })
  const bus = createCommandBus({
    log,
    feed,
    snapshots: new JetStreamSnapshots(nats),
    lookup: lookup(log, feed),
    epoch,
    ...(limits === undefined ? {} : { limits }),
  })
  return {
    layout,
    log,
    feed,
    bus,
    close: async ms => {
      await within(ms, bus.drain())
      await feed.stop()
      log.close()
    },
  }
}

/** Resolves with the promise or after so many ms, whichever is first. */
export const within = async (ms: number, promise: Promise<unknown>): Promise<void> => {
  let timer: NodeJS.Timeout | undefined
  const patience = new Promise<void>(resolve => {
    timer = setTimeout(resolve, ms)
  })
  await Promise.race([promise, patience])
  clearTimeout(timer)
}
