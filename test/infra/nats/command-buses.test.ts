import t, { type Test } from 'tap'
import {
  type BusLimits,
  type CommandBus,
  createCommandBus,
  createFollowingStates,
  createLogLookup,
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
import { commandBusContract } from '../../contracts/command-bus.ts'
import { startNats, type TestNats } from '../../harness/nats.ts'

const openLog = async (t: Test, nats: TestNats, url?: string) => {
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

/** A process that decides. */
const openLocal = async (t: Test, nats: TestNats, limits: Partial<BusLimits> = {}) => {
  const opened = await openLog(t, nats)
  const { log, feed, snapshots } = opened
  const bus = createCommandBus({ log, feed, snapshots, lookup: createLogLookup(log), epoch: 1, limits })
  await feed.start()
  return { ...opened, bus }
}

/** A process that decides for others. */
const openServer = async (t: Test, nats: TestNats, wrap: (bus: CommandBus) => CommandBus = bus => bus) => {
  const { connected, bus } = await openLocal(t, nats)
  const server = new CommandServer(connected, { bus: wrap(bus) })
  await server.start()
  t.teardown(() => server.stop())
  return server
}

/** A process that has others decide. */
const openRemote = async (
  t: Test,
  nats: TestNats,
  { url, limits }: { url?: string; limits?: Partial<RemoteLimits> } = {},
) => {
  const opened = await openLog(t, nats, url)
  const states = createFollowingStates(opened)
  const bus = new RemoteCommandBus(opened.connected, states, limits)
  await opened.feed.start()
  t.teardown(() => bus.close())
  return { ...opened, bus }
}

const nats = await startNats(t)

commandBusContract('local', t, t => openLocal(t, nats))
commandBusContract('remote', t, async t => {
  await openServer(t, nats)
  await openServer(t, nats)
  return await openRemote(t, nats)
})
