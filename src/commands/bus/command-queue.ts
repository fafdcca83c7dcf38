import { type AggregateRef, ConfabError } from '../../events/index.ts'
import { type AggregateState, isProvisional } from '../domain/aggregate.ts'
import type { Appended } from '../ports/event-log.ts'
import type { CacheEntry } from '../states/aggregate-cache.ts'
import { appendWithRetry, duplicateFailure, type Failure } from './append-with-retry.ts'
import {
  accept,
  type Command,
  fail,
  type LoggedEvent,
  newEventOf,
  type QueueContext,
  type QueuedCommand,
  settle,
} from './command-handler.ts'

/**
 * The queue of one aggregate: executes its commands one at a time, in order. A command on a cached state takes the
 * direct path: one decision, one append. A cold aggregate, missing facts, a conflict, an unreachable log or a long
 * queue take the path of append with retry.
 */
export class CommandQueue<S extends AggregateState, E extends LoggedEvent, C extends Command> {
  readonly #context: QueueContext<S, E, C>
  readonly #aggregate: AggregateRef
  readonly #onIdle: (id: string) => void
  readonly #queue: QueuedCommand<E, C>[] = []
  #busy = false
  /** The command, state and expected sequence of the append on the direct path. */
  #appending: QueuedCommand<E, C> | undefined
  #entry: CacheEntry<S, E> | undefined
  #expected = 0

  constructor(context: QueueContext<S, E, C>, id: string, onIdle: (id: string) => void) {
    this.#context = context
    this.#aggregate = { family: context.handler.type.family, id }
    this.#onIdle = onIdle
  }

  /** Whether no further command of a user may wait. Counts only in a queue that is long enough for that. */
  isFullFor(from: string): boolean {
    const { queued, userQueued } = this.#context.limits
    if (this.#queue.length < userQueued) return this.#queue.length >= queued
    if (this.#queue.length >= queued) return true
    let count = 0
    for (const { command } of this.#queue) if (command.from === from) count++
    return count >= userQueued
  }

  push(command: QueuedCommand<E, C>): void {
    this.#queue.push(command)
    if (!this.#busy) this.#run()
  }

  #run(): void {
    this.#busy = true
    const { limits } = this.#context
    while (this.#queue.length > 0) {
      if (this.#queue.length >= limits.batchFrom) {
        this.#appendWithRetry(this.#queue.splice(0, limits.batchMost))
        return
      }
      const command = this.#queue.shift()!
      try {
        if (this.#start(command)) return
      } catch (error) {
        fail(this.#context, command, error)
      }
    }
    this.#busy = false
    this.#onIdle(this.#aggregate.id)
  }

  /** Decides a command. Returns true when it has to wait; `#run` is called again when the command has ended. */
  #start(command: QueuedCommand<E, C>): boolean {
    const { handler, cache, log } = this.#context
    const entry = cache.cached(this.#aggregate.id)
    if (entry === undefined) {
      this.#appendWithRetry([command])
      return true
    }
    const { state } = entry
    const decision = handler.decide(state, command.command)
    if (decision instanceof Promise) {
      // Append with retry decides again and waits for the same facts, so a rejection is handled there.
      decision.catch(() => {})
      this.#appendWithRetry([command])
      return true
    }
    if (!('event' in decision)) {
      if (isProvisional(decision)) {
        this.#appendWithRetry([command])
        return true
      }
      settle(this.#context, command, decision)
      return false
    }
    const newEvent = newEventOf(this.#context, this.#aggregate, state, command, decision.event)
    this.#appending = command
    this.#entry = entry
    this.#expected = state.streamSeq
    entry.pending = [command]
    log.append(this.#aggregate, state.streamSeq, [newEvent]).then(this.#onAppended, this.#onFailed)
    return true
  }

  readonly #onAppended = ({ duplicate, position }: Appended): void => {
    const { cache, handler } = this.#context
    const command = this.#appending!
    const entry = this.#entry!
    if (duplicate) {
      cache.abandon(entry)
      this.#appendWithRetry([command], duplicateFailure(this.#aggregate, this.#expected, position))
      return
    }
    try {
      cache.commit(entry, position)
    } catch {
      // The log holds the event, so the state is rebuilt and the command is answered from the log.
      cache.drop(this.#aggregate.id)
      this.#appendWithRetry([command], duplicateFailure(this.#aggregate, this.#expected, position))
      return
    }
    accept(this.#context, command, () => handler.answer(command.command, command.event!))
    this.#run()
  }

  readonly #onFailed = (error: unknown): void => {
    this.#context.cache.abandon(this.#entry!)
    this.#appendWithRetry([this.#appending!], { expected: this.#expected, error })
  }

  #appendWithRetry(commands: QueuedCommand<E, C>[], failure?: Failure): void {
    this.#appending = undefined
    this.#entry = undefined
    void appendWithRetry(this.#context, this.#aggregate, commands, failure).then(given => {
      // Clients send a failed command again. A command behind it from the same user must not overtake it, so it fails
      // too.
      if (given !== undefined)
        for (const command of this.#queue.splice(0))
          if (given.senders === 'all' || given.senders.has(command.command.from))
            fail(this.#context, command, given.error)
          else this.#queue.push(command)
      this.#run()
    })
  }
}

/** Idle queues that are kept. Creating a queue costs as much as deciding a command. */
const maxIdleQueues = 1024

/** The queues of a family: one for each aggregate with commands in flight, and some idle ones. */
export class CommandQueues<S extends AggregateState, E extends LoggedEvent, C extends Command> {
  readonly #context: QueueContext<S, E, C>
  readonly #queues = new Map<string, CommandQueue<S, E, C>>()
  readonly #onIdle = (id: string): void => {
    if (this.#queues.size > maxIdleQueues) this.#queues.delete(id)
  }

  constructor(context: QueueContext<S, E, C>) {
    this.#context = context
  }

  /** Queues a command. Throws ConfabError OVERLOADED when the queue of the aggregate is full, or full for its user. */
  push(id: string, command: QueuedCommand<E, C>): void {
    let queue = this.#queues.get(id)
    if (queue === undefined) {
      queue = new CommandQueue(this.#context, id, this.#onIdle)
      this.#queues.set(id, queue)
    } else if (queue.isFullFor(command.command.from)) throw new ConfabError('OVERLOADED')
    this.#context.inFlight.add()
    queue.push(command)
  }
}
