import { settlesWithin } from '../base/timeout.ts'
import {
  type CommandBus,
  createFollowingStates,
  createRosterShared,
  createViewLookup,
  type StateReader,
} from '../commands/index.ts'
import { CommandServer, DigestWriter, RemoteCommandBus, type ServedStreams } from '../infra/nats/index.ts'
import type { HomeFence, Lease, Region } from '../infra/nats/regions/index.ts'
import { createCommandMetrics, createRemoteMetrics } from '../infra/telemetry/index.ts'
import type { Views } from '../projections/index.ts'
import type { ProcessContext } from './lifecycle.ts'
import { type OpenedLog, openBus } from './open-log.ts'
import { isInFile, viewDatabasesOf } from './open-views.ts'

/** Returns the streams whose lease this process holds. */
const servedStreams = (
  { layout, feed }: Pick<OpenedLog, 'layout' | 'feed'>,
  lease: Lease,
  fence: HomeFence,
  { name }: Region,
): ServedStreams => ({
  region: name,
  epochs: () => lease.served(),
  epochOf: stream => lease.epochOf(stream),
  confirm: stream => fence.confirm(stream, feed.position(stream) ?? 0),
  streamOf: aggregate => layout.streamOf(aggregate),
  watch: listener => lease.watch(listener),
})

/** The role `commands`. */
export interface CommandsRole {
  readonly bus: CommandBus
  readonly states: StateReader
  /** Starts to decide commands of edge nodes in other processes. */
  serve(): Promise<void>
}

/** Decides commands and appends their events. At a stop, commands in progress may finish within `drain`. */
export const openCommandsRole = (
  context: ProcessContext,
  opened: OpenedLog,
  { timeline, roster }: Pick<Views, 'timeline' | 'roster'>,
): CommandsRole => {
  const { config, region, logger, system, registry, tracing, onStop, readyWhen } = context
  const { lease, fence } = opened
  const served = region && lease && fence && servedStreams(opened, lease, fence, region)
  // Without these roles, a file of views stays empty.
  const hasRoster =
    !isInFile(viewDatabasesOf(config), 'roster') ||
    config.roles.includes('edge') ||
    config.roles.includes('projections')
  const { bus, states } = openBus(opened, {
    lookup: log => createViewLookup(timeline, log, config.commands.lookupBytes),
    ...(hasRoster ? { shared: createRosterShared(roster) } : {}),
    limits: config.commands,
    decides: served && (aggregate => served.epochOf(served.streamOf(aggregate)) !== undefined),
    viewHead: async c => (await timeline.head(c))?.seq ?? 0,
    logger,
  })
  onStop('command bus', () => settlesWithin(config.drainMs, bus.drain()), ['log', 'views', 'nats'])
  // Readiness only: the bus still decides with a stale feed, because the log fences stale appends.
  readyWhen('log', () => opened.feed.staleness() <= config.edge.stalenessMs)
  const server = new CommandServer(system.nats, {
    bus: tracing?.traced(bus, 'commands') ?? bus,
    onError: error => logger.error({ err: error }, 'command of another process failed'),
    onAnswered: createCommandMetrics(registry, () => server.inProgress),
    served,
  })
  const digests = new DigestWriter(system.nats, opened.feed, {
    node: () => server.node,
    region: region?.name,
  })
  return {
    bus,
    states,
    serve: async () => {
      onStop('command server', () => settlesWithin(config.drainMs, server.stop()), ['command bus', 'tracing'])
      onStop('digest writer', async () => digests.stop(), ['command server', 'log', 'nats'])
      // Before the server joins: requests for digests reach the writer from its first share of streams on.
      digests.start()
      await server.start()
    },
  }
}

/** The command bus of an edge node without the role `commands`: other processes decide. Create it before the edge. */
export const openRemoteBus = (
  context: ProcessContext,
  { log, layout, feed, snapshots }: OpenedLog,
): Pick<CommandsRole, 'bus' | 'states'> => {
  const { config, region, logger, system, registry, onStop, readyWhen, reportStates } = context
  const states = createFollowingStates({
    epochs: layout,
    log,
    feed,
    snapshots,
    logger,
    limits: config.commands,
    isCopy: region !== undefined,
  })
  const bus = new RemoteCommandBus(system.nats, states, config.remoteCommands, aggregate =>
    layout.streamOf(aggregate),
  )
  const stop = async (): Promise<void> => {
    await settlesWithin(config.drainMs, bus.drain())
    bus.close()
  }
  onStop('command bus', stop, ['log', 'nats'])
  if (region === undefined) readyWhen('commands', () => bus.isServed)
  // An edge node of a region that is cut off from the homes still answers reads.
  else reportStates(() => ({ commands: bus.isServed ? 'live' : 'no home answers' }))
  createRemoteMetrics(registry, bus)
  return { bus, states }
}
