import type { Test } from 'tap'
import {
  type CommandBus,
  createCommandBus,
  createFollowingStates,
  createLogLookup,
  createStates,
  type RemoteLimits,
} from '../../../src/commands/index.ts'
import type { StoredEvent } from '../../../src/events/index.ts'
import {
  CommandServer,
  discoverLog,
  JetStreamEventLog,
  JetStreamSnapshots,
  NatsLiveFeed,
  RemoteCommandBus,
} from '../../../src/infra/nats/index.ts'
import { readAll } from '../../commands/bus-under-load.ts'
import { HeldFeed } from '../../harness/held-feed.ts'
import type { TestNats } from '../../harness/nats.ts'

interface Options {
  /** Another address of the server, such as a proxy's. */
  readonly url?: string | undefined
}

/** A connection of its own with the log. */
const openLog = async (t: Test, nats: TestNats, { url }: Options) => {
  const connected = await nats.connect(url)
  const layout = await discoverLog(connected.connection)
  const log = new JetStreamEventLog(connected, layout)
  const feed = new NatsLiveFeed(connected, layout)
  t.teardown(async () => {
    await feed.stop()
    log.close()
  })
  const stored = (c: string): Promise<readonly StoredEvent[]> => readAll(log, c)
  return { connected, log, feed, snapshots: new JetStreamSnapshots(connected), stored }
}

/** The parts of a process that decides for itself. */
export const openLocal = async (t: Test, nats: TestNats, options: Options = {}) => {
  const opened = await openLog(t, nats, options)
  const { log, feed, snapshots } = opened
  const states = createStates({ log, feed, snapshots })
  const bus = createCommandBus({ log, states, lookup: createLogLookup(log) })
  await feed.start()
  return { ...opened, bus, states }
}

/** The parts of a commands node; `wrap` wraps its bus. */
export const openServer = async (
  t: Test,
  nats: TestNats,
  { wrap = bus => bus, ...options }: Options & { wrap?: (bus: CommandBus) => CommandBus } = {},
) => {
  const opened = await openLocal(t, nats, options)
  const server = new CommandServer(opened.connected, { bus: wrap(opened.bus) })
  await server.start()
  t.teardown(() => server.stop())
  return { ...opened, server }
}

/** The parts of an edge node without commands; `held` can delay its feed. */
export const openRemote = async (
  t: Test,
  nats: TestNats,
  { limits, ...options }: Options & { limits?: Partial<RemoteLimits> } = {},
) => {
  const opened = await openLog(t, nats, options)
  const held = new HeldFeed(opened.feed)
  const states = createFollowingStates({ ...opened, feed: held })
  const bus = new RemoteCommandBus(opened.connected, states, limits)
  await opened.feed.start()
  t.teardown(() => bus.close())
  return { ...opened, bus, states, held }
}
