import {
  type CommandBus,
  importContext,
  type MessageLookup,
  type MessageRef,
  type StateReader,
} from '../../commands/index.ts'
import { ConfabError, type ErrorCode, operatorText } from '../../events/index.ts'
import { differenceFrom } from './compare-message.ts'
import type { ImportItem, ImportMessage } from './import-item.ts'
import type { ImportRetry } from './import-retry.ts'
import { nothingPlanned, type PlannedCommand, planCommands } from './plan-commands.ts'

/** An item to import; `done` receives the outcome. */
export interface ImportJob {
  readonly item: ImportItem
  readonly title: string | undefined
  readonly done: (outcome: Outcome) => void
}

/**
 * Outcome of an item. `duplicate`: the log held the message already. `unchanged`: the user was a member already, or was
 * none. `refused`: the command bus refused the item, or the log holds another message with its id.
 */
export type Outcome =
  | { readonly kind: 'imported' | 'duplicate' | 'unchanged' }
  | { readonly kind: 'refused'; readonly code: ErrorCode; readonly reason: string }

export interface ImportQueueOptions {
  readonly bus: CommandBus
  readonly states: StateReader
  readonly lookup: MessageLookup
  /** Called after a user has joined to post a message. */
  readonly onSenderJoined: () => void
  readonly signal: AbortSignal
  readonly retry: ImportRetry
  /** Called when the queue is empty. */
  readonly onIdle: (c: string) => void
}

/** Commands of one conversation under way in the bus: one batch that the bus appends, and commands for the next. */
export const queueWindow = 2_000
const refillBelow = queueWindow / 2
/** Attempts for a refused item whose refusal a concurrent change can explain. */
const maxReplans = 3
const retryableErrors: ReadonlySet<ErrorCode> = new Set(['OVERLOADED', 'UNAVAILABLE', 'RATE_LIMITED'])
const concurrencyErrors: ReadonlySet<ErrorCode> = new Set(['NOT_MEMBER', 'NOT_FOUND', 'ALREADY_EXISTS'])

/** A look-up up to this seq uses the events that an earlier one has read: at least those before this run. */
export const anySeq = 1

interface Failed {
  readonly job: ImportJob
  readonly index: number
  readonly error: ConfabError
}

/**
 * Imports the items of one conversation in order. Many commands are under way at once, and the bus appends them in
 * batches. After a failure the queue waits until all commands under way have ended, then repeats the failed ones in
 * order before the rest.
 */
export class ImportQueue {
  readonly #options: ImportQueueOptions
  readonly #c: string
  #queue: ImportJob[] = []
  #running = false
  #wake: () => void = () => {}
  /** Items and commands under way in the bus. */
  #underWay = 0
  #commands = 0
  #failed: Failed[] = []
  #index = 0
  /** Whether the conversation existed before this run. Undefined: not known yet. */
  #existedBefore: boolean | undefined
  #planned = nothingPlanned()

  constructor(options: ImportQueueOptions, c: string) {
    this.#options = options
    this.#c = c
  }

  push(job: ImportJob): void {
    this.#queue.push(job)
    if (!this.#running) {
      this.#running = true
      void this.#run()
    }
  }

  async #run(): Promise<void> {
    // Items pushed in the same tick are planned together.
    await Promise.resolve()
    let attempt = 0
    while (this.#queue.length > 0 || this.#underWay > 0 || this.#failed.length > 0) {
      if (this.#options.signal.aborted) {
        this.#queue = []
        this.#failed = []
        if (this.#underWay === 0) break
      }
      if (this.#failed.length > 0) {
        if (this.#underWay > 0) await this.#untilProgress()
        else attempt = await this.#repeatFailed(attempt)
      } else if (this.#queue.length === 0 || this.#commands > refillBelow) {
        await this.#untilProgress()
        if (this.#failed.length === 0) attempt = 0
      } else await this.#fill()
    }
    this.#running = false
    this.#options.onIdle(this.#c)
  }

  #untilProgress(): Promise<void> {
    return new Promise(resolve => {
      this.#wake = resolve
    })
  }

  async #fill(): Promise<void> {
    const { states, lookup } = this.#options
    let next: ImportJob[] = []
    try {
      if (this.#underWay === 0) this.#planned = nothingPlanned()
      const found = states.conversation(this.#c)
      const view = found instanceof Promise ? await found : found
      this.#existedBefore ??= view !== undefined
      next = this.#queue.splice(0, queueWindow - this.#commands)
      while (next.length > 0 && this.#commands < queueWindow) {
        const { item, title } = next[0]!
        const isMember = this.#planned.members.get(item.user) ?? view?.roleOf(item.user) !== undefined
        // Do not join a user again who has left since, for a message that the log holds already.
        const found =
          item.kind === 'message' && this.#existedBefore && !isMember
            ? await lookup.find(item.c, item.m, anySeq)
            : undefined
        const job = next.shift()!
        if (found !== undefined) job.done(outcomeOf(item as ImportMessage, found))
        else this.#execute(job, planCommands(item, view, this.#planned, title))
        if (this.#failed.length > 0) break
      }
    } catch (error) {
      const job = next.shift() ?? this.#queue.shift()
      if (job !== undefined) this.#failed.push({ job, index: this.#index++, error: asConfabError(error) })
    }
    this.#queue.unshift(...next)
  }

  #execute(job: ImportJob, commands: readonly PlannedCommand[]): void {
    if (commands.length === 0) {
      job.done({ kind: 'unchanged' })
      return
    }
    const index = this.#index++
    let open = commands.length
    let error: ConfabError | undefined
    let duplicateSeq: number | undefined
    const end = async (): Promise<void> => {
      this.#commands--
      if (--open > 0) return
      if (error !== undefined && isWithoutEffect(job, error)) job.done({ kind: 'unchanged' })
      else if (error !== undefined) this.#failed.push({ job, index, error })
      else if (duplicateSeq === undefined) job.done({ kind: 'imported' })
      else await this.#endDuplicate(job, index, duplicateSeq)
      this.#underWay--
      if (this.#commands <= refillBelow) this.#wake()
    }
    this.#underWay++
    this.#commands += commands.length
    for (const { request, from, at } of commands)
      this.#options.bus.execute(request, importContext(from, at)).then(
        answer => {
          this.#options.retry.succeeded()
          if ('duplicate' in answer && answer.duplicate && request.t === 'send') duplicateSeq = answer.seq
          if (request.t === 'join' && job.item.kind === 'message') this.#options.onSenderJoined()
          return end()
        },
        reason => {
          error ??= asConfabError(reason)
          return end()
        },
      )
  }

  /** Compares a message with the one of its id that the log holds at `seq`. */
  async #endDuplicate(job: ImportJob, index: number, seq: number): Promise<void> {
    try {
      const item = job.item as ImportMessage
      const stored = await this.#options.lookup.find(item.c, item.m, seq)
      job.done(stored === undefined ? { kind: 'duplicate' } : outcomeOf(item, stored))
    } catch (error) {
      this.#failed.push({ job, index, error: asConfabError(error) })
    }
  }

  /** Reports the final failures, and puts the other failed items back in their order. */
  async #repeatFailed(attempt: number): Promise<number> {
    const failed = this.#failed.sort((a, b) => a.index - b.index)
    this.#failed = []
    const outage = failed.find(({ error }) => retryableErrors.has(error.code))
    const repeated: ImportJob[] = []
    for (const { job, error } of failed)
      if (
        retryableErrors.has(error.code) ||
        (concurrencyErrors.has(error.code) && (attempt < maxReplans || outage))
      )
        repeated.push(job)
      else job.done({ kind: 'refused', code: error.code, reason: reasonOf(job, error) })
    this.#queue.unshift(...repeated)
    if (outage === undefined) return attempt + 1
    await this.#options.retry.wait(outage.error, attempt, this.#options.signal)
    return attempt + 1
  }
}

/** Whether an error means that the item has no effect: a user who is not a member cannot leave. */
const isWithoutEffect = ({ item }: ImportJob, error: ConfabError): boolean =>
  item.kind === 'leave' && concurrencyErrors.has(error.code)

/** Returns the message of an error, which speaks to a client, in words for the operator of an import. */
const reasonOf = ({ item }: ImportJob, error: ConfabError): string =>
  error.code === 'CONFLICT' && item.kind === 'message'
    ? `the log holds another message with the id ${item.m}`
    : operatorText(error)

/** Returns the outcome of a message that the log holds. */
const outcomeOf = (item: ImportMessage, stored: MessageRef): Outcome => {
  const difference = differenceFrom(stored, item)
  return difference === undefined
    ? { kind: 'duplicate' }
    : { kind: 'refused', code: 'CONFLICT', reason: `the log holds ${item.m} with ${difference}` }
}

const asConfabError = (error: unknown): ConfabError =>
  ConfabError.is(error) ? error : new ConfabError('INTERNAL', undefined, { cause: error })
