import {
  ConfabError,
  type ConversationEvent,
  currentVersion,
  type Envelope,
  encodeBody,
  type StoredEvent,
  type UserEvent,
} from '../../events/index.ts'
import type { AggregateState, AggregateType, Decision } from '../domain/aggregate.ts'
import type { EventLog, NewEvent } from '../ports/event-log.ts'
import type { AggregateCache, PendingEvent } from '../states/aggregate-cache.ts'

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

export interface LaneLimits {
  /** Commands that may wait for their turn in one aggregate. */
  readonly queued: number
  /** A queue as long as this is decided at once and appended as one batch. */
  readonly batchFrom: number
  /** Commands in one batch. */
  readonly batchMost: number
  /** Conflicts after which a command is given up as OVERLOADED. */
  readonly conflicts: number
  /** How long an unreachable log is tried before a command is given up as UNAVAILABLE, ms. */
  readonly deadlineMs: number
}

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

/** A command under way. */
export interface Job<E, C> extends PendingEvent<E> {
  readonly command: C
  readonly commandId: string
  readonly traceparent: string | undefined
  readonly resolve: (answer: object) => void
  readonly reject: (error: Error) => void
  /** What was decided last, and the seq that it will have. */
  event: E | undefined
  seq: number
  data: Uint8Array | undefined
}

export const newJob = <E, C extends Command>(
  command: C,
  traceparent: string | undefined,
  resolve: (answer: object) => void,
  reject: (error: Error) => void,
): Job<E, C> => ({
  command,
  commandId: command.id,
  traceparent,
  resolve,
  reject,
  event: undefined,
  seq: 0,
  data: undefined,
})

/** Ends a command with its answer. */
export const accept = <E, C>(open: CommandsInFlight, job: Job<E, C>, answer: object): void => {
  // In this order: a command that goes on elsewhere is under way all the time.
  job.resolve(answer)
  open.ended()
}

/** Ends a command with an error that its client may see; any other becomes INTERNAL, with itself as the cause. */
export const fail = <E, C>(open: CommandsInFlight, job: Job<E, C>, error: unknown): void => {
  open.ended()
  job.reject(ConfabError.is(error) ? error : new ConfabError('INTERNAL', undefined, { cause: error }))
}

/** Ends a command that appends nothing. */
export const settle = <E, C>(
  open: CommandsInFlight,
  job: Job<E, C>,
  decision: Exclude<Decision<E>, { event: E }>,
): void => {
  if ('unchanged' in decision) accept(open, job, decision.unchanged)
  // Whoever gave the command goes on with it.
  else if ('handover' in decision) accept(open, job, decision)
  else if ('lacks' in decision) fail(open, job, new TypeError(`nobody looked up ${decision.lacks}`))
  else {
    const { refused, message, field, retryAfterMs } = decision
    const details = {
      ...(field === undefined ? {} : { field }),
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    }
    fail(open, job, new ConfabError(refused, message, details))
  }
}

/** What the log gets of a decision, which the job keeps. `state` does not hold the event yet. */
export const newEventOf = <S extends AggregateState, E extends LoggedEvent, C extends Command>(
  { handler, epoch }: QueueContext<S, E, C>,
  state: S,
  job: Job<E, C>,
  event: E,
): NewEvent => {
  const { type, seq } = event
  const { command, commandId, traceparent } = job
  const version = currentVersion(type)
  const n = handler.ordinal(state, event)
  const actor = command.from
  const envelope: Envelope =
    traceparent === undefined
      ? { type, version, seq, n, actor, commandId, epoch }
      : { type, version, seq, n, actor, commandId, epoch, traceparent }
  const data = encodeBody(event as LoggedEvent as ConversationEvent | UserEvent)
  job.event = event
  job.seq = seq
  job.data = data
  return { envelope, data }
}
