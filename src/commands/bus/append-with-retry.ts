import { sleep } from '../../base/sleep.ts'
import {
  type AggregateRef,
  ConfabError,
  type Position,
  type StoredEvent,
  subjectOf,
} from '../../events/index.ts'
import { type AggregateState, type Decision, isProvisional } from '../domain/aggregate.ts'
import { ConflictError, type NewEvent } from '../ports/event-log.ts'
import type { Command, CommandsInFlight, LoggedEvent, QueueContext } from './command-handler.ts'
import { accept, fail, type Job, newEventOf, settle } from './command-handler.ts'

/** An append that did not succeed as it should. */
export interface Failure {
  /** Stream sequence after which it should have stood: whatever it left in the log stands after that. */
  readonly expected: number
  readonly error: unknown
  /** Where the log says that it holds the command already. */
  readonly held?: Position
}

export const heldFailure = (aggregate: AggregateRef, expected: number, held: Position): Failure => ({
  expected,
  held,
  error: new ConflictError(subjectOf(aggregate), expected),
})

/** Conflicts after which a batch is taken apart. */
const batchConflicts = 3
/** Longest pause after a conflict, and after a silence of the log, ms. */
const conflictPauseMs = 64
const silencePauseMs = 250

/**
 * Ends all of `jobs`, in order, whatever it takes: waits for what their decisions lack, appends what comes of them as one batch, and after a failure looks
 * first for what the log has taken all the same. Never rejects. Returns the error with which it gave jobs up, undefined when it gave none up.
 */
export const settleCarefully = async <S extends AggregateState, E extends LoggedEvent, C extends Command>(
  context: QueueContext<S, E, C>,
  aggregate: AggregateRef,
  jobs: readonly Job<E, C>[],
  failed?: Failure,
): Promise<Error | undefined> => {
  const { limits, open } = context
  const deadline = performance.now() + limits.deadlineMs
  let left = jobs
  let failure = failed
  let trouble = failed?.error
  let conflicts = 0
  let silences = 0
  let ambiguous = false
  const sure: Sureness = { isCurrent: false }
  while (left.length > 0) {
    const isConflict = ConflictError.is(trouble)
    const isSilence = ConfabError.is(trouble) && trouble.code === 'UNAVAILABLE'
    if (isConflict) conflicts += failure?.held === undefined ? 1 : batchConflicts
    if (isSilence && failure !== undefined) ambiguous = true
    if (trouble !== undefined) {
      const hopeless =
        (!isConflict && !isSilence) || conflicts > limits.conflicts || performance.now() > deadline
      if (hopeless) {
        return giveUp(open, left, isConflict ? new ConfabError('OVERLOADED') : trouble)
      }
      if (isSilence) await sleep(Math.random() * Math.min(5 * 2 ** ++silences, silencePauseMs))
      else await sleep(Math.random() * Math.min(2 ** conflicts, conflictPauseMs))
      trouble = undefined
    }
    try {
      if (failure !== undefined) left = await settleLanded(context, aggregate, left, failure, ambiguous)
      failure = undefined
      if (left.length > 1 && conflicts >= batchConflicts) {
        return await settleApart(context, aggregate, left)
      }
      const outcome = await attempt(context, aggregate, left, sure)
      if (typeof outcome === 'number') {
        left = left.slice(outcome)
        if (outcome === 0 && performance.now() > deadline) trouble = new ConfabError('UNAVAILABLE')
      } else {
        failure = outcome
        trouble = outcome.error
      }
    } catch (error) {
      trouble = error
    }
  }
  return undefined
}

/** One by one, for as long as none is given up: what comes after it must not overtake it. */
const settleApart = async <S extends AggregateState, E extends LoggedEvent, C extends Command>(
  context: QueueContext<S, E, C>,
  aggregate: AggregateRef,
  jobs: readonly Job<E, C>[],
): Promise<Error | undefined> => {
  for (const [i, job] of jobs.entries()) {
    const error = await settleCarefully(context, aggregate, [job])
    if (error !== undefined) return giveUp(context.open, jobs.slice(i + 1), error)
  }
  return undefined
}

/** Ends commands with the error that one of them, or one before them, met. */
export const giveUp = <E, C>(open: CommandsInFlight, jobs: readonly Job<E, C>[], trouble: unknown): Error => {
  const error = ConfabError.is(trouble) ? trouble : new ConfabError('INTERNAL', undefined, { cause: trouble })
  for (const job of jobs) fail(open, job, error)
  return error
}

/**
 * Reads what the log has after the place where an append should have stood, ends the jobs whose commands are there, and brings the state up to date. Returns
 * the others.
 */
const settleLanded = async <S extends AggregateState, E extends LoggedEvent, C extends Command>(
  { handler, cache, log, open }: QueueContext<S, E, C>,
  aggregate: AggregateRef,
  jobs: readonly Job<E, C>[],
  { expected, error, held }: Failure,
  ambiguous: boolean,
): Promise<readonly Job<E, C>[]> => {
  const ids = new Set(jobs.map(job => job.commandId))
  const landed = new Map<string, StoredEvent>()
  const entry = cache.cached(aggregate.id)
  let hasNews = false
  for await (const batch of log.read(aggregate, expected))
    for (const stored of batch) {
      hasNews = true
      if (ids.has(stored.envelope.commandId)) landed.set(stored.envelope.commandId, stored)
      if (entry?.live === true && !cache.apply(entry, stored)) cache.drop(aggregate.id)
    }
  if (held !== undefined && landed.size === 0) {
    // Older than what the state remembers, but within the log's own window of duplicates.
    const stored = await firstAfter(log.read(aggregate, held.streamSeq - 1))
    if (stored !== undefined && ids.has(stored.envelope.commandId))
      landed.set(stored.envelope.commandId, stored)
  } else if (!hasNews && ConflictError.is(error)) {
    // Nothing came in between. Either the winner is still in flight, or the log's history has changed under the state: a mirror was promoted that lagged.
    const last = await log.last(aggregate)
    if ((last?.streamSeq ?? 0) < expected) await cache.reload(aggregate.id)
  }
  const answered = new Set<string>()
  return jobs.filter(job => {
    const stored = landed.get(job.commandId)
    if (stored === undefined) return true
    const duplicate = !ambiguous || answered.has(job.commandId)
    answered.add(job.commandId)
    accept(open, job, handler.answerStored(job.command, stored, duplicate))
    return false
  })
}

const firstAfter = async (
  events: AsyncIterable<readonly StoredEvent[]>,
): Promise<StoredEvent | undefined> => {
  for await (const batch of events) if (batch[0] !== undefined) return batch[0]
  return undefined
}

/** Whether the state is known to hold all that the log held when the commands came. */
interface Sureness {
  isCurrent: boolean
}

/** Decides as many of `jobs` as can be decided now and appends what comes of them. Returns how many it ended, or why none. */
const attempt = async <S extends AggregateState, E extends LoggedEvent, C extends Command>(
  context: QueueContext<S, E, C>,
  aggregate: AggregateRef,
  jobs: readonly Job<E, C>[],
  sure: Sureness,
): Promise<number | Failure> => {
  const { handler, cache, log, open } = context
  const entry = cache.cached(aggregate.id) ?? (await cache.load(aggregate.id))
  const lacking = jobs
    .map(job => handler.prepare(entry.state, job.command))
    .filter(facts => facts !== undefined)
  if (lacking.length > 0) {
    await Promise.all(lacking)
    return 0
  }
  // Several are decided one after another on a fork: the state itself takes in only what the log has.
  const state = jobs.length === 1 ? entry.state : handler.type.fork(entry.state, jobs.length)
  const decisions: Decision<E>[] = []
  const pending: Job<E, C>[] = []
  const events: NewEvent[] = []
  for (const job of jobs) {
    const decision = handler.decide(state, job.command)
    if (decision instanceof Promise) {
      // What it lacks, only the jobs before it have brought about, or none: it comes next.
      decision.catch(() => {})
      if (decisions.length === 0) await decision
      break
    }
    decisions.push(decision)
    if (!('event' in decision)) continue
    const { event } = decision
    pending.push(job)
    events.push(newEventOf(context, state, job, event))
    if (state !== entry.state)
      handler.type.evolve(state, event, {
        stream: state.stream,
        streamSeq: state.streamSeq,
        commandId: job.commandId,
      })
  }
  if (events.length === 0 && !sure.isCurrent && decisions.some(isProvisional)) {
    await Promise.all(jobs.map(job => handler.refresh(job.command)))
    sure.isCurrent = true
    return 0
  }
  if (events.length > 0) {
    const expected = entry.state.streamSeq
    entry.pending = pending
    try {
      const appended = await log.append(aggregate, expected, events)
      if (appended.duplicate) {
        cache.abandon(entry)
        return heldFailure(aggregate, expected, appended.position)
      }
      cache.commit(entry, appended.position)
    } catch (error) {
      cache.abandon(entry)
      return { expected, error }
    }
  }
  decisions.forEach((decision, i) => {
    const job = jobs[i]!
    if ('event' in decision) accept(open, job, handler.answer(job.command, decision.event))
    else settle(open, job, decision)
  })
  return decisions.length
}
