import {
  ConfabError,
  type ConversationEvent,
  currentVersion,
  type Envelope,
  encodeBody,
  type UserEvent,
} from '../../events/index.ts'
import type { AggregateState, Decision } from '../domain/aggregate.ts'
import type { NewEvent } from '../ports/event-log.ts'
import type { PendingEvent } from '../states/aggregate-cache.ts'
import type { Command, CommandsInFlight, LoggedEvent, QueueContext } from './command-handler.ts'

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
