import {
  type AggregateRef,
  ConfabError,
  type ConversationEvent,
  currentVersion,
  type Envelope,
  encodeBody,
  type StoredEvent,
  type UserEvent,
} from '../../events/index.ts'
import type { AggregateState, AggregateType, Decision } from '../domain/aggregate.ts'
import type { Epochs } from '../ports/epochs.ts'
import type { EventLog, NewEvent } from '../ports/event-log.ts'
import type { AggregateCache, PendingEvent } from '../states/aggregate-cache.ts'
import type { FailureLog } from '../states/state-reader.ts'
import type { QueueLimits } from './bus-limits.ts'

/** The fields that events of both families have. */
export interface LoggedEvent {
  readonly type: string
  readonly seq: number
}

/** The fields that commands of both families have. */
export interface Command {
  readonly id: string
  readonly from: string
  /** Called before each decision. False: another process may have decided the command, so this one must not. */
  readonly isWanted?: (() => boolean) | undefined
}

/** How the commands of one family are decided, including the facts that a decision needs from elsewhere. */
export interface CommandHandler<S extends AggregateState, E extends LoggedEvent, C extends Command> {
  readonly type: AggregateType<S, E>
  /** Returns a decision, or a promise that resolves when the missing facts are in the command. Decide again then. */
  decide(state: S, command: C): Decision<E> | Promise<unknown>
  /** Fetches the facts that the command needs, on this state or on one changed by earlier commands of its batch. */
  prepare(state: S, command: C): Promise<unknown> | undefined
  /** Brings the states that the decision depends on up to date with the log. */
  refresh(command: C): Promise<unknown>
  /** Returns the ordinal of the conversation's last message as of an event that is not in the state yet. */
  ordinal(state: S, event: E): number
  /** Returns the answer to a command whose event was just appended. */
  answer(command: C, event: E): object
  /**
   * Returns the outcome of a command whose id a stored event has: its answer, or a refusal when the event is of another
   * command.
   */
  decideStored(command: C, stored: StoredEvent, duplicate: boolean): Exclude<Decision<E>, { event: E }>
}

/** Wraps a handler: refuses commands that another process may have decided. The log fences earlier decisions. */
export const whileOwned = <S extends AggregateState, E extends LoggedEvent, C extends Command>(
  handler: CommandHandler<S, E, C>,
): CommandHandler<S, E, C> => ({
  ...handler,
  decide: (state, command) =>
    command.isWanted !== undefined && !command.isWanted()
      ? { refused: 'UNAVAILABLE' }
      : handler.decide(state, command),
})

const otherHomes = new WeakSet<Error>()

/** Returns the error of a command that changes an aggregate whose home is another region. */
export const otherHome = (): ConfabError => {
  const error = new ConfabError(
    'UNAVAILABLE',
    'This command changes logs whose homes are different regions; try again later.',
  )
  otherHomes.add(error)
  return error
}

/** Whether an error says that a home is another region: no retry in this process helps. */
export const isOtherHome = (error: unknown): boolean => error instanceof Error && otherHomes.has(error)

/**
 * Wraps a handler: refuses commands that would change an aggregate whose home is another region. Such a command reached
 * this node because it changes another aggregate as well, whose home is here. `decides`: whether this region decides
 * all that a command changes; undefined in a system of one region.
 */
export const atHome = <S extends AggregateState, E extends LoggedEvent, C extends Command>(
  handler: CommandHandler<S, E, C>,
  decides: ((command: C, state: S) => boolean) | undefined,
): CommandHandler<S, E, C> => {
  if (decides === undefined) return handler
  const current = new WeakSet<C>()
  return {
    ...handler,
    decide: (state, command) => {
      const decision = handler.decide(state, command)
      if (decision instanceof Promise || !('event' in decision) || decides(command, state)) return decision
      // On the newest state the command may have nothing to change.
      if (current.has(command)) throw otherHome()
      current.add(command)
      return handler.refresh(command)
    },
  }
}

/** Shared by all queues of a family. */
export interface QueueContext<S extends AggregateState, E extends LoggedEvent, C extends Command> {
  readonly handler: CommandHandler<S, E, C>
  readonly cache: AggregateCache<S, E>
  readonly log: EventLog
  readonly epochs: Epochs
  readonly inFlight: CommandsInFlight
  readonly limits: QueueLimits
  readonly failures: FailureLog
}

/** Counts the commands in flight in all queues. */
export class CommandsInFlight {
  #count = 0
  #waiting: (() => void)[] = []

  get count(): number {
    return this.#count
  }

  add(): void {
    this.#count++
  }

  remove(): void {
    this.#count--
    if (this.#count > 0 || this.#waiting.length === 0) return
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }

  /** Resolves when no command is in flight. */
  idle(): Promise<void> {
    if (this.#count === 0) return Promise.resolve()
    return new Promise(resolve => {
      this.#waiting.push(resolve)
    })
  }
}

/** A command in a queue, with its last decision. */
export interface QueuedCommand<E, C> extends PendingEvent<E> {
  readonly command: C
  readonly commandId: string
  readonly traceparent: string | undefined
  readonly resolve: (answer: object) => void
  readonly reject: (error: Error) => void
  /** The event that was decided last, and its seq. */
  event: E | undefined
  seq: number
  data: Uint8Array | undefined
}

export const queuedCommand = <E, C extends Command>(
  command: C,
  traceparent: string | undefined,
  resolve: (answer: object) => void,
  reject: (error: Error) => void,
): QueuedCommand<E, C> => ({
  command,
  commandId: command.id,
  traceparent,
  resolve,
  reject,
  event: undefined,
  seq: 0,
  data: undefined,
})

type FailureContext = Pick<QueueContext<AggregateState, LoggedEvent, Command>, 'inFlight' | 'failures'>

/** Ends a command with an answer. An error in making the answer fails this command only. */
export const accept = <E, C extends Command>(
  context: FailureContext,
  queued: QueuedCommand<E, C>,
  answer: () => object,
): void => {
  try {
    queued.resolve(answer())
  } catch (error) {
    fail(context, queued, error)
    return
  }
  // After `resolve`: a command that continues in the log of a user stays in flight without a gap.
  context.inFlight.remove()
}

/**
 * Ends a command with an error. Clients receive UNREADABLE_EVENT, LOG_DAMAGED or INTERNAL for an error without a code;
 * the log has the cause.
 */
export const fail = <E, C extends Command>(
  { inFlight, failures }: FailureContext,
  queued: QueuedCommand<E, C>,
  error: unknown,
): void => {
  inFlight.remove()
  failures.report(error, { command: queued.commandId })
  queued.reject(ConfabError.from(error))
}

/** Ends a command that appends nothing. */
export const settle = <E, C extends Command>(
  context: FailureContext,
  queued: QueuedCommand<E, C>,
  decision: Exclude<Decision<E>, { event: E }>,
): void => {
  if ('unchanged' in decision) accept(context, queued, () => decision.unchanged)
  // The bus continues the command in the log of a user.
  else if ('handover' in decision) accept(context, queued, () => decision)
  else if ('lacks' in decision)
    fail(context, queued, new TypeError(`message ${decision.lacks} was not looked up before the decision`))
  else {
    const { refused, message, ...details } = decision
    fail(context, queued, new ConfabError(refused, message, details))
  }
}

/**
 * Returns the decided event as the log takes it, and keeps it in the queued command. `state` does not hold the event
 * yet.
 */
export const newEventOf = <S extends AggregateState, E extends LoggedEvent, C extends Command>(
  { handler, log, epochs }: QueueContext<S, E, C>,
  aggregate: AggregateRef,
  state: S,
  queued: QueuedCommand<E, C>,
  event: E,
): NewEvent => {
  const { type, seq } = event
  const { command, commandId, traceparent } = queued
  const version = currentVersion(type)
  const n = handler.ordinal(state, event)
  const actor = command.from
  const epoch = epochs.epochOf(log.streamOf(aggregate))
  const envelope: Envelope =
    traceparent === undefined
      ? { type, version, seq, n, actor, commandId, epoch }
      : { type, version, seq, n, actor, commandId, epoch, traceparent }
  const data = encodeBody(event as LoggedEvent as ConversationEvent | UserEvent)
  queued.event = event
  queued.seq = seq
  queued.data = data
  return { envelope, data }
}
