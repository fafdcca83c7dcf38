import type { StoredEvent } from '../../events/index.ts'
import type { AggregateState, AggregateType, Decision } from '../domain/aggregate.ts'
import type { EventLog } from '../ports/event-log.ts'
import type { AggregateCache } from '../states/aggregate-cache.ts'
import type { BusLimits } from './bus-limits.ts'

/** What an event says of itself, whatever its family. */
export interface LoggedEvent {
  readonly type: string
  readonly seq: number
}

export interface Command {
  readonly id: string
  readonly from: string
  /** Asked before each decision. False: whoever gave it may have had it decided elsewhere, so that it must not be decided here any more. */
  readonly isWanted?: (() => boolean) | undefined
}

/** Decides nothing that is not wanted any more. What was decided before is fenced by the log. */
export const whileNeeded = <S extends AggregateState, E extends LoggedEvent, C extends Command>(
  handler: CommandHandler<S, E, C>,
): CommandHandler<S, E, C> => ({
  ...handler,
  decide: (state, command) =>
    command.isWanted !== undefined && !command.isWanted()
      ? { refused: 'UNAVAILABLE' }
      : handler.decide(state, command),
})

/** How the commands of one family are decided, facts and all. */
export interface CommandHandler<S extends AggregateState, E extends LoggedEvent, C extends Command> {
  readonly type: AggregateType<S, E>
  /** A decision, or what has to be waited for before it can be asked again. */
  decide(state: S, command: C): Decision<E> | Promise<unknown>
  /** What a decision on this state, or on one that other commands of its batch have changed, has to wait for. */
  prepare(state: S, command: C): Promise<unknown> | undefined
  /** Brings up to date whatever the command is decided by. */
  refresh(command: C): Promise<unknown>
  /** Ordinal of the conversation's last message at this event, which is not in the state yet. */
  ordinal(state: S, event: E): number
  /** The answer to a command whose event is in the log now. */
  answer(command: C, event: E): object
  /** The answer to a command whose event was found in the log. */
  answerStored(command: C, stored: StoredEvent, duplicate: boolean): object
}

/** The bounds of one aggregate's queue. */
export type LaneLimits = Pick<BusLimits, 'queued' | 'batchFrom' | 'batchMost' | 'conflicts' | 'deadlineMs'>

/** What the lanes of a family share. */
export interface QueueContext<S extends AggregateState, E extends LoggedEvent, C extends Command> {
  readonly handler: CommandHandler<S, E, C>
  readonly cache: AggregateCache<S, E>
  readonly log: EventLog
  readonly epoch: number
  readonly open: CommandsInFlight
  readonly limits: LaneLimits
}

/** How many commands are under way in all lanes. */
export class CommandsInFlight {
  #count = 0
  #waiting: (() => void)[] = []

  get count(): number {
    return this.#count
  }

  began(): void {
    this.#count++
  }

  ended(): void {
    this.#count--
    if (this.#count > 0 || this.#waiting.length === 0) return
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }

  /** Resolves when there is none. */
  none(): Promise<void> {
    if (this.#count === 0) return Promise.resolve()
    return new Promise(resolve => {
      this.#waiting.push(resolve)
    })
  }
}
