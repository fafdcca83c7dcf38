import { backoffMs } from '../../base/backoff.ts'
import { sleep } from '../../base/sleep.ts'
import {
  type AggregateRef,
  ConfabError,
  isForeign,
  LogDamagedError,
  type Position,
  type StoredEvent,
  subjectOf,
  UnreadableEventError,
} from '../../events/index.ts'
import { type AggregateState, type Decision, isProvisional } from '../domain/aggregate.ts'
import { refuseReuse } from '../domain/conversation-command.ts'
import { ConflictError, type NewEvent } from '../ports/event-log.ts'
import {
  accept,
  type Command,
  fail,
  isOtherHome,
  type LoggedEvent,
  newEventOf,
  type QueueContext,
  type QueuedCommand,
  settle,
} from './command-handler.ts'

/** A failed append. */
export interface Failure {
  /** The stream sequence that the append expected. If the log holds the events, they are after it. */
  readonly expected: number
  readonly error: unknown
  /** Position at which the log reports the same command as a duplicate. */
  readonly held?: Position
}

export const duplicateFailure = (aggregate: AggregateRef, expected: number, held: Position): Failure => ({
  expected,
  held,
  error: new ConflictError(subjectOf(aggregate), expected),
})

/**
 * An error that commands failed with, and the senders whose later commands have to fail as well to keep their order.
 */
export interface GivenUp {
  readonly error: ConfabError
  readonly senders: 'all' | ReadonlySet<string>
}

/** Conflicts after which the commands of a batch are appended one by one. */
const batchConflicts = 3
const conflictBackoff = { firstMs: 2, maxMs: 64 }
const unavailableBackoff = { firstMs: 10, maxMs: 250 }

const isUnavailable = (error: unknown): boolean =>
  ConfabError.is(error) && error.code === 'UNAVAILABLE' && !isOtherHome(error)

/** Whether an error is about the log or the aggregate, so that every command of the aggregate meets it. */
const concernsAll = (error: unknown): boolean =>
  UnreadableEventError.is(error) ||
  LogDamagedError.is(error) ||
  (ConfabError.is(error) && (error.code === 'UNAVAILABLE' || error.code === 'OVERLOADED'))

/**
 * Decides commands of one aggregate and appends their events as one batch, in order. Retries conflicts and an
 * unreachable log with back-off, and looks for events that a failed append left in the log before it decides again.
 * Ends every command.
 *
 * An error of one command fails that command alone. Never rejects: returns the error when the log or the aggregate
 * failed, or the senders of commands whose facts stayed unavailable; undefined otherwise.
 */
export const appendWithRetry = async <S extends AggregateState, E extends LoggedEvent, C extends Command>(
  context: QueueContext<S, E, C>,
  aggregate: AggregateRef,
  commands: readonly QueuedCommand<E, C>[],
  failed?: Failure,
): Promise<GivenUp | undefined> => {
  const { limits } = context
  const deadline = performance.now() + limits.deadlineMs
  let left = commands
  /** Commands whose facts are unavailable, with later commands of the same senders. Retried after all others. */
  let blocked: readonly QueuedCommand<E, C>[] = []
  let factsError: unknown
  let failure = failed
  let error = failed?.error
  let conflicts = 0
  let outages = 0
  let isAmbiguous = false
  const current = new Set<QueuedCommand<E, C>>()
  while (left.length > 0 || blocked.length > 0) {
    const isOfFacts = left.length === 0
    if (isOfFacts) {
      left = blocked
      blocked = []
      error = factsError
    }
    if (error !== undefined) {
      const isConflict = ConflictError.is(error)
      if (isConflict) conflicts += failure?.held === undefined ? 1 : batchConflicts
      if (isUnavailable(error) && failure !== undefined) isAmbiguous = true
      const isRetryable = isConflict || isUnavailable(error)
      if (!isRetryable || conflicts > limits.conflicts || performance.now() > deadline) {
        const final = isConflict ? new ConfabError('OVERLOADED') : error
        if (isOfFacts) return giveUp(context, left, final, sendersOf(left))
        if (concernsAll(final)) return giveUp(context, [...left, ...blocked], final, 'all')
        if (left.length > 1) return await appendApart(context, aggregate, [...left, ...blocked])
        for (const command of left) fail(context, command, final)
        left = []
        failure = undefined
        error = undefined
        continue
      }
      await sleep(
        isConflict ? backoffMs(conflicts, conflictBackoff) : backoffMs(++outages, unavailableBackoff),
      )
      error = undefined
    }
    try {
      if (failure !== undefined) left = await settleStored(context, aggregate, left, failure, isAmbiguous)
      failure = undefined
      if (left.length > 1 && conflicts >= batchConflicts)
        return await appendApart(context, aggregate, [...left, ...blocked])
      const outcome = await attempt(context, aggregate, left, current)
      const hasProgress = outcome.left.length < left.length
      left = outcome.left
      if (outcome.blocked.length > 0) {
        blocked = [...blocked, ...outcome.blocked]
        factsError = outcome.factsError
      }
      failure = outcome.failure
      error = outcome.failure?.error
      if (!hasProgress && error === undefined && performance.now() > deadline)
        error = new ConfabError('UNAVAILABLE')
    } catch (thrown) {
      error = thrown
    }
  }
  return undefined
}

/**
 * Appends commands one by one, in order. Ends at the first error that concerns all of them: no command may overtake
 * another.
 */
const appendApart = async <S extends AggregateState, E extends LoggedEvent, C extends Command>(
  context: QueueContext<S, E, C>,
  aggregate: AggregateRef,
  commands: readonly QueuedCommand<E, C>[],
): Promise<GivenUp | undefined> => {
  const senders = new Set<string>()
  let error: ConfabError | undefined
  for (const [i, command] of commands.entries()) {
    if (error !== undefined && senders.has(command.command.from)) {
      fail(context, command, error)
      continue
    }
    const given = await appendWithRetry(context, aggregate, [command])
    if (given === undefined) continue
    if (given.senders === 'all') return giveUp(context, commands.slice(i + 1), given.error, 'all')
    for (const sender of given.senders) senders.add(sender)
    error = given.error
  }
  return error && { error, senders }
}

const sendersOf = <E, C extends Command>(commands: readonly QueuedCommand<E, C>[]): ReadonlySet<string> =>
  new Set(commands.map(({ command }) => command.from))

const giveUp = <S extends AggregateState, E extends LoggedEvent, C extends Command>(
  context: QueueContext<S, E, C>,
  commands: readonly QueuedCommand<E, C>[],
  cause: unknown,
  senders: GivenUp['senders'],
): GivenUp => {
  const error = ConfabError.from(cause)
  for (const command of commands) fail(context, command, error)
  return { error, senders }
}

/**
 * Reads the events after the position that a failed append expected. Ends the commands whose events are there, and
 * brings the state up to date. Returns the other commands.
 */
const settleStored = async <S extends AggregateState, E extends LoggedEvent, C extends Command>(
  context: QueueContext<S, E, C>,
  aggregate: AggregateRef,
  commands: readonly QueuedCommand<E, C>[],
  { expected, error, held }: Failure,
  isAmbiguous: boolean,
): Promise<readonly QueuedCommand<E, C>[]> => {
  const { handler, cache, log } = context
  const ids = new Set(commands.map(({ commandId }) => commandId))
  const found = new Map<string, StoredEvent>()
  const entry = cache.cached(aggregate.id)
  let hasEvents = false
  for await (const batch of log.read(aggregate, expected))
    for (const stored of batch) {
      hasEvents = true
      if (ids.has(stored.envelope.commandId)) found.set(stored.envelope.commandId, stored)
      if (entry?.live === true && !cache.apply(entry, stored)) cache.drop(aggregate.id)
    }
  if (held !== undefined && found.size === 0) {
    // The event is older than the recent events of the state, and within the duplicate window of the log.
    const stored = await firstAfter(log.read(aggregate, held.streamSeq - 1))
    if (stored !== undefined && ids.has(stored.envelope.commandId))
      found.set(stored.envelope.commandId, stored)
    const [command] = commands
    // The same key of a command on a channel is in the log of another follower.
    if (found.size === 0 && command !== undefined && commands.length === 1 && aggregate.family === 'user') {
      settle(context, command, refuseReuse())
      return []
    }
  } else if (!hasEvents && ConflictError.is(error)) {
    // A conflict without new events has three causes: the other append is still in flight, a foreign message is last
    // on the subject, or the log has lost events because a mirror that lagged was promoted.
    const last = await log.last(aggregate)
    if ((last?.streamSeq ?? 0) < expected) await cache.reload(aggregate.id)
    else if (last !== undefined && isForeign(last)) await cache.current(aggregate.id)
  }
  const answered = new Set<string>()
  return commands.filter(queued => {
    const stored = found.get(queued.commandId)
    if (stored === undefined) return true
    const duplicate = !isAmbiguous || answered.has(queued.commandId)
    answered.add(queued.commandId)
    try {
      settle(context, queued, handler.decideStored(queued.command, stored, duplicate))
    } catch (error) {
      fail(context, queued, error)
    }
    return false
  })
}

const firstAfter = async (
  events: AsyncIterable<readonly StoredEvent[]>,
): Promise<StoredEvent | undefined> => {
  for await (const batch of events) if (batch[0] !== undefined) return batch[0]
  return undefined
}

/** The result of one attempt. Commands in neither list have ended. */
interface Outcome<E, C> {
  /** Commands to attempt again, in order. */
  readonly left: readonly QueuedCommand<E, C>[]
  /** Commands whose facts are unavailable, with later commands of the same senders. */
  readonly blocked: readonly QueuedCommand<E, C>[]
  readonly factsError?: unknown
  readonly failure?: Failure
}

/**
 * Decides as many of the commands as it can, and appends their events. `current` has the commands whose states are
 * fresh.
 */
const attempt = async <S extends AggregateState, E extends LoggedEvent, C extends Command>(
  context: QueueContext<S, E, C>,
  aggregate: AggregateRef,
  commands: readonly QueuedCommand<E, C>[],
  current: Set<QueuedCommand<E, C>>,
): Promise<Outcome<E, C>> => {
  const { handler, cache, log } = context
  const entry = cache.cached(aggregate.id) ?? (await cache.load(aggregate.id))
  const prepared = await settleFacts(context, commands, ({ command }) =>
    handler.prepare(entry.state, command),
  )
  if (prepared !== undefined) return prepared

  // A batch is decided on a fork, because the state itself holds stored events only.
  const state = commands.length === 1 ? entry.state : handler.type.fork(entry.state, commands.length)
  const decided: { readonly queued: QueuedCommand<E, C>; readonly decision: Decision<E> }[] = []
  const pending: QueuedCommand<E, C>[] = []
  const events: NewEvent[] = []
  let reached = 0
  for (const queued of commands) {
    try {
      const decision = handler.decide(state, queued.command)
      if (decision instanceof Promise) {
        decision.catch(() => {})
        // The facts may depend on earlier commands of this batch. Append those first.
        if (decided.length > 0) break
        const rest = commands.slice(reached)
        return (await settleFacts(context, rest, one => (one === queued ? decision : undefined))) ?? noOutcome
      }
      if ('event' in decision) {
        const { event } = decision
        events.push(newEventOf(context, aggregate, state, queued, event))
        pending.push(queued)
        if (state !== entry.state)
          handler.type.evolve(state, event, {
            stream: state.stream,
            streamSeq: state.streamSeq,
            commandId: queued.commandId,
            seenAt: performance.now(),
            isLive: true,
          })
      }
      decided.push({ queued, decision })
    } catch (error) {
      fail(context, queued, error)
    }
    reached++
  }
  const rest = commands.slice(reached)
  const unfailed = () => [...decided.map(({ queued }) => queued), ...rest]
  const isUnconfirmed = decided.some(
    ({ queued, decision }) => isProvisional(decision) && !current.has(queued),
  )
  if (events.length === 0 && isUnconfirmed) {
    const outcome = await settleFacts(context, unfailed(), queued =>
      handler.refresh(queued.command).then(() => current.add(queued)),
    )
    return outcome ?? noOutcome
  }
  if (events.length > 0) {
    const expected = entry.state.streamSeq
    entry.pending = pending
    try {
      const { duplicate, position } = await log.append(aggregate, expected, events)
      if (duplicate) {
        cache.abandon(entry)
        return { left: unfailed(), blocked: [], failure: duplicateFailure(aggregate, expected, position) }
      }
      cache.commit(entry, position)
    } catch (error) {
      cache.abandon(entry)
      return { left: unfailed(), blocked: [], failure: { expected, error } }
    }
  }
  for (const { queued, decision } of decided)
    if ('event' in decision) accept(context, queued, () => handler.answer(queued.command, decision.event))
    else settle(context, queued, decision)
  return { left: rest, blocked: [] }
}

const noOutcome = { left: [], blocked: [] } as const

/**
 * Fetches facts for each command and waits for all of them. Returns undefined when no command needs any. A command
 * whose facts are unavailable is blocked; any other error fails its command alone.
 */
const settleFacts = async <S extends AggregateState, E extends LoggedEvent, C extends Command>(
  context: QueueContext<S, E, C>,
  commands: readonly QueuedCommand<E, C>[],
  fetch: (queued: QueuedCommand<E, C>) => Promise<unknown> | undefined,
): Promise<Outcome<E, C> | undefined> => {
  const facts = commands.map(queued => {
    try {
      return fetch(queued)
    } catch (error) {
      return Promise.reject(error)
    }
  })
  if (facts.every(fact => fact === undefined)) return undefined
  const results = await Promise.allSettled(facts)
  const left: QueuedCommand<E, C>[] = []
  const blocked: QueuedCommand<E, C>[] = []
  const senders = new Set<string>()
  let factsError: unknown
  commands.forEach((queued, i) => {
    const result = results[i]!
    if (result.status === 'rejected' && !isUnavailable(result.reason)) {
      fail(context, queued, result.reason)
      return
    }
    if (result.status === 'rejected') {
      factsError = result.reason
      senders.add(queued.command.from)
    }
    if (senders.has(queued.command.from)) blocked.push(queued)
    else left.push(queued)
  })
  return { left, blocked, factsError }
}
