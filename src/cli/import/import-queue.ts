import { type CommandBus, importContext, type StateReader } from '../../commands/index.ts'
import { ConfabError, type ErrorCode } from '../../events/index.ts'
import type { ImportItem } from './import-item.ts'
import type { ImportRetry } from './import-retry.ts'
import { nothingPlanned, type PlannedCommand, planCommands } from './plan-commands.ts'

/** An item to import; `done` receives the outcome. */
export interface ImportJob {
  readonly item: ImportItem
  readonly title: string | undefined
  readonly done: (outcome: Outcome) => void
}

/** Outcome of an item. `refused`: the command bus refused it. */
export type Outcome =
  | { readonly kind: 'imported' | 'duplicate' | 'unchanged' }
  | { readonly kind: 'refused'; readonly code: ErrorCode; readonly reason: string }

export interface ImportQueueOptions {
  readonly bus: CommandBus
  readonly states: StateReader
  /** Whether the log held a message before this run. */
  readonly isStored: (c: string, m: string) => Promise<boolean>
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
    const { states, isStored } = this.#options
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
        const isStoredBefore =
          item.kind === 'message' && this.#existedBefore && !isMember && (await isStored(item.c, item.m))
        const job = next.shift()!
        if (isStoredBefore) job.done({ kind: 'duplicate' })
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
    let answer: object = {}
    const end = (): void => {
      this.#commands--
      if (--open > 0) return
      this.#underWay--
      if (error !== undefined && !isWithoutEffect(job, error)) this.#failed.push({ job, index, error })
      else job.done({ kind: 'duplicate' in answer && answer.duplicate === true ? 'duplicate' : 'imported' })
      if (this.#commands <= refillBelow) this.#wake()
    }
    this.#underWay++
    this.#commands += commands.length
    for (const { request, from, at } of commands)
      this.#options.bus.execute(request, importContext(from, at)).then(
        answered => {
          this.#options.retry.succeeded()
          answer = answered
          end()
        },
        reason => {
          error ??= asConfabError(reason)
          end()
        },
      )
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
      else job.done({ kind: 'refused', code: error.code, reason: error.message })
    this.#queue.unshift(...repeated)
    if (outage === undefined) return attempt + 1
    await this.#options.retry.wait(outage.error, attempt, this.#options.signal)
    return attempt + 1
  }
}

/** Whether an error means that the item has no effect: a user who is not a member cannot leave. */
const isWithoutEffect = ({ item }: ImportJob, error: ConfabError): boolean =>
  item.kind === 'leave' && concurrencyErrors.has(error.code)

const asConfabError = (error: unknown): ConfabError =>
  ConfabError.is(error) ? error : new ConfabError('INTERNAL', undefined, { cause: error })
