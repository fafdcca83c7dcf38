import { settlesWithin } from '../base/timeout.ts'
import {
  type CommandBus,
  createFollowingStates,
  createViewLookup,
  type StateReader,
} from '../commands/index.ts'
import { CommandServer, DigestWriter, RemoteCommandBus } from '../infra/nats/index.ts'
import { createCommandMetrics, createRemoteMetrics } from '../infra/telemetry/index.ts'
import type { Views } from '../projections/index.ts'
import type { ProcessContext } from './lifecycle.ts'
import type { OpenedLog } from './open-log.ts'
import { openBus } from './open-log.ts'

/** How long the live feed may go without knowing that it has everything before a process that decides is not ready, ms. Deciding goes on: the log fences it. */
const stalenessMs = 10_000

/** The role `commands`. */
export interface CommandsRole {
  readonly bus: CommandBus
  readonly states: StateReader
  /** From now on edges in other processes send commands here. */
  serve(): Promise<void>
}

/** Decides and appends: for the edge of this process, and for those of others. What is under way at the end may finish, settlesWithin `drain`. */
export const openCommandsRole = (
  context: ProcessContext,
  side: OpenedLog,
  { timeline }: Pick<Views, 'timeline'>,
): CommandsRole => {
  const { config, logger, system, registry, onStop, readyWhen } = context
  const { bus, states } = openBus(side, {
    lookup: log => createViewLookup(timeline, log, config.commands.lookupBytes),
    limits: config.commands,
  })
  onStop('commands under way', () => settlesWithin(config.drainMs, bus.drain()))
  readyWhen('log', () => side.feed.staleness() <= stalenessMs)
  const server = new CommandServer(system.nats, {
    bus,
    onError: error => logger.error({ err: error }, 'a command of another process failed'),
    onAnswered: createCommandMetrics(registry, () => server.inProgress),
  })
  const digests = new DigestWriter(system.nats, side.feed, { node: () => server.node })
  return {
    bus,
    states,
    serve: async () => {
      onStop('commands of others', () => settlesWithin(config.drainMs, server.stop()))
      onStop('digests', async () => digests.stop())
      // Before it has its share: it hears then that digests are wanted.
      digests.start()
      await server.start()
    },
  }
}

/** The bus of an edge without the role `commands`: others decide. Make it before the edge, which reads the same feed. */
export const openRemoteBus = (
  context: ProcessContext,
  { log, feed, snapshots }: OpenedLog,
): Pick<CommandsRole, 'bus' | 'states'> => {
  const { config, system, registry, onStop, readyWhen } = context
  const states = createFollowingStates({ log, feed, snapshots, limits: config.commands })
  const bus = new RemoteCommandBus(system.nats, states, config.remoteCommands)
  onStop('commands under way', async () => {
    await settlesWithin(config.drainMs, bus.drain())
    bus.close()
  })
  readyWhen('commands', () => bus.isServed)
  createRemoteMetrics(registry, bus)
  return { bus, states }
}
