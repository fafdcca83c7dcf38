import { ConfabError } from '../events/index.ts'
import type { AggregateState } from './aggregate.ts'
import type { Command, LaneContext, LoggedEvent } from './command-handler.ts'
import type { Job } from './command-job.ts'
import { CommandLane } from './command-lane.ts'

/** Lanes that are kept while idle: making one costs as much as deciding. */
const keptLanes = 1024

/** The lanes of a family: one for each aggregate that has commands under way, and some that had. */
export class CommandLanes<S extends AggregateState, E extends LoggedEvent, C extends Command> {
  readonly #context: LaneContext<S, E, C>
  readonly #lanes = new Map<string, CommandLane<S, E, C>>()
  readonly #idle = (id: string): void => {
    if (this.#lanes.size > keptLanes) this.#lanes.delete(id)
  }

  constructor(context: LaneContext<S, E, C>) {
    this.#context = context
  }

  /** Throws ConfabError OVERLOADED when too many wait in the aggregate already. */
  push(id: string, job: Job<E, C>): void {
    let lane = this.#lanes.get(id)
    if (lane === undefined) {
      lane = new CommandLane(this.#context, id, this.#idle)
      this.#lanes.set(id, lane)
    } else if (lane.queued >= this.#context.limits.queued) throw new ConfabError('OVERLOADED')
    this.#context.open.began()
    lane.push(job)
  }
}
