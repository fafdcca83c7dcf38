import { type CommandBus, createViewLookup } from './commands/index.ts'
import type { LogSide } from './log-side.ts'
import type { ProcessContext } from './process-context.ts'
import type { Views } from './projections/index.ts'
import { openBus, within } from './write-side.ts'

/** The role `commands`: decides and appends. What is under way at the end may finish, within `drain`. */
export const openCommandsSide = (
  { config, onStop }: ProcessContext,
  side: LogSide,
  { timeline }: Pick<Views, 'timeline'>,
): CommandBus => {
  const bus = openBus(side, {
    lookup: log => createViewLookup(timeline, log),
    limits: { conversationBytes: config.stateCacheBytes },
  })
  onStop(() => within(config.drainMs, bus.drain()))
  return bus
}
