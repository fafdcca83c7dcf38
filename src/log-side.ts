import type { EventLog, LiveFeed, SnapshotStore } from './commands/index.ts'
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
} from './infra/nats/index.ts'

export interface LogSideOptions {
  /** What of the streams a process without the role commands follows. Default: everything. */
  readonly interest?: InterestMode
  /** Copies of each stream; not given: as they are. */
  readonly replicas?: number | undefined
  readonly onNotice?: (notice: string) => void
}

/** The log and what follows it. `feed` is not started: who listens to it does so first. */
export interface LogSide {
  readonly layout: LogLayout
  readonly log: EventLog
  readonly feed: LiveFeed
  readonly snapshots: SnapshotStore
  /** What the feed follows now, and how many events it has brought and passed over. */
  readonly followed: () => Followed
  /** The connection stays. */
  close(): Promise<void>
}

/** Opens the log of a connection; the streams are made as they are defined first. Throws NatsError. */
export const openLogSide = async (
  nats: Nats,
  { replicas, interest = 'everything', onNotice }: LogSideOptions,
): Promise<LogSide> => {
  await applyStreams(nats.connection, loadStreams({ replicas }))
  const layout = await discoverLog(nats.connection)
  const log = new JetStreamEventLog(nats, layout)
  const feed = new NatsLiveFeed(nats, layout, { interest, ...(onNotice === undefined ? {} : { onNotice }) })
  return {
    layout,
    log,
    feed,
    snapshots: new JetStreamSnapshots(nats),
    followed: () => feed.followed,
    close: async () => {
      await feed.stop()
      log.close()
    },
  }
}
