import { type AggregateRef, ConfabError } from '../../events/index.ts'
import { type AggregateState, isProvisional } from '../domain/aggregate.ts'
import type { Appended } from '../ports/event-log.ts'
import type { CacheEntry } from '../states/aggregate-cache.ts'
import { type Failure, giveUp, heldFailure, settleCarefully } from './append-with-retry.ts'
import type { Command, LoggedEvent, QueueContext } from './command-handler.ts'
import { accept, fail, type Job, newEventOf, settle } from './command-handler.ts'

/**
 * The commands of one aggregate, in the order that they came, one at a time. What is cached and meets no obstacle goes straight through: one decision, one
 * append, no waiting in between. Everything else (a cold aggregate, facts to fetch, a conflict, a silent log, a long queue) takes the careful way.
 */
export class ConversationQueue<S extends AggregateState, E extends LoggedEvent, C extends Command> {
  readonly #context: QueueContext<S, E, C>
  readonly #aggregate: AggregateRef
  readonly #onIdle: (id: string) => void
  readonly #queue: Job<E, C>[] = []
  #busy = false
  /** The command that is being appended the straight way, and where. */
  #job: Job<E, C> | undefined
  #entry: CacheEntry<S, E> | undefined
  #expected = 0

  constructor(context: QueueContext<S, E, C>, id: string, onIdle: (id: string) => void) {
    this.#context = context
    this.#aggregate = { family: context.handler.type.family, id }
    this.#onIdle = onIdle
  }

  /** Commands that wait for their turn. */
  get queued(): number {
    return this.#queue.length
  }

  push(job: Job<E, C>): void {
    this.#queue.push(job)
    if (!this.#busy) this.#run()
  }

  #run(): void {
    this.#busy = true
    const { limits } = this.#context
    while (this.#queue.length > 0) {
      if (this.#queue.length >= limits.batchFrom) {
        this.#carefully(this.#queue.splice(0, limits.batchMost))
        return
      }
      const job = this.#queue.shift()!
      try {
        if (this.#isUnderWay(job)) return
      } catch (error) {
        fail(this.#context.open, job, error)
      }
    }
    this.#busy = false
    this.#onIdle(this.#aggregate.id)
  }

  /** Does what can be done at once; true when the command has to wait for something, which then goes on with the lane. */
  #isUnderWay(job: Job<E, C>): boolean {
    const { handler, cache, log, open } = this.#context
    const entry = cache.cached(this.#aggregate.id)
    if (entry === undefined) {
      this.#carefully([job])
      return true
    }
    const { state } = entry
    const decision = handler.decide(state, job.command)
    if (decision instanceof Promise) {
      // Whether it resolves or not, the careful way asks again, and waits.
      decision.catch(() => {})
      this.#carefully([job])
      return true
    }
    if (!('event' in decision)) {
      if (isProvisional(decision)) {
        this.#carefully([job])
        return true
      }
      settle(open, job, decision)
      return false
    }
    const { event } = decision
    const newEvent = newEventOf(this.#context, state, job, event)
    this.#job = job
    this.#entry = entry
    this.#expected = state.streamSeq
    entry.pending = [job]
    log.append(this.#aggregate, state.streamSeq, [newEvent]).then(this.#appended, this.#refused)
    return true
  }

  readonly #appended = (appended: Appended): void => {
    const { cache, handler, open } = this.#context
    const job = this.#job!
    const entry = this.#entry!
    if (appended.duplicate) {
      cache.abandon(entry)
      this.#carefully([job], heldFailure(this.#aggregate, this.#expected, appended.position))
      return
    }
    cache.commit(entry, appended.position)
    accept(open, job, handler.answer(job.command, job.event!))
    this.#run()
  }

  readonly #refused = (error: unknown): void => {
    this.#context.cache.abandon(this.#entry!)
    this.#carefully([this.#job!], { expected: this.#expected, error })
  }

  #carefully(jobs: Job<E, C>[], failure?: Failure): void {
    this.#job = undefined
    this.#entry = undefined
    void settleCarefully(this.#context, this.#aggregate, jobs, failure).then(error => {
      // What waits behind a command that was given up would overtake it when it is sent again.
      if (error !== undefined) giveUp(this.#context.open, this.#queue.splice(0), error)
      this.#run()
    })
  }
}

/** Lanes that are kept while idle: making one costs as much as deciding. */
const keptLanes = 1024

/** The lanes of a family: one for each aggregate that has commands under way, and some that had. */
export class CommandQueues<S extends AggregateState, E extends LoggedEvent, C extends Command> {
  readonly #context: QueueContext<S, E, C>
  readonly #lanes = new Map<string, ConversationQueue<S, E, C>>()
  readonly #idle = (id: string): void => {
    if (this.#lanes.size > keptLanes) this.#lanes.delete(id)
  }

  constructor(context: QueueContext<S, E, C>) {
    this.#context = context
  }

  /** Throws ConfabError OVERLOADED when too many wait in the aggregate already. */
  push(id: string, job: Job<E, C>): void {
    let lane = this.#lanes.get(id)
    if (lane === undefined) {
      lane = new ConversationQueue(this.#context, id, this.#idle)
      this.#lanes.set(id, lane)
    } else if (lane.queued >= this.#context.limits.queued) throw new ConfabError('OVERLOADED')
    this.#context.open.began()
    lane.push(job)
  }
}
