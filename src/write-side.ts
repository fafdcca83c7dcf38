import {
  type BusLimits,
  type CommandBus,
  createCommandBus,
  type EventLog,
  type LiveFeed,
  type MessageLookup,
} from './commands/index.ts'
import type { Nats } from './infra/nats/index.ts'
import { type LogSide, type LogSideOptions, openLogSide } from './log-side.ts'
import { within } from './within.ts'

/** Raised when a region is promoted. */
const epoch = 1

export interface BusOptions {
  /** Finds messages that a conversation no longer remembers. */
  readonly lookup: (log: EventLog, feed: LiveFeed) => MessageLookup
  readonly limits?: Partial<BusLimits>
}

/** A command bus on a log. Make it before whoever reads its states while the feed is delivered. */
export const openBus = ({ log, feed, snapshots }: LogSide, { lookup, limits }: BusOptions): CommandBus =>
  createCommandBus({
    log,
    feed,
    snapshots,
    lookup: lookup(log, feed),
    epoch,
    ...(limits === undefined ? {} : { limits }),
  })

/** All that deciding and appending takes. `feed` is not started: who else listens to it does so first. */
export interface WriteSide extends Omit<LogSide, 'close'> {
  readonly bus: CommandBus
  /** Waits for commands under way, `ms` at most, then lets go. The connection stays. */
  close(ms: number): Promise<void>
}

/** Puts the write side together on a connection, for who has nothing else there. Throws NatsError. */
export const openWriteSide = async (nats: Nats, options: BusOptions & LogSideOptions): Promise<WriteSide> => {
  const side = await openLogSide(nats, options)
  const bus = openBus(side, options)
  return {
    ...side,
    bus,
    close: async ms => {
      await within(ms, bus.drain())
      await side.close()
    },
  }
}
