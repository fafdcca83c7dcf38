import type { CommandBus, StateReader } from '../../commands/index.ts'
import { ConfabError, type ErrorCode } from '../../events/index.ts'
import type { ImportItem } from './import-item.ts'
import { nothingPlanned, type PlannedCommand, planCommands } from './plan-commands.ts'
import type { Patience } from './retry.ts'

/** An item on its way, and whom to tell how it ended. */
export interface ImportJob {
  readonly item: ImportItem
  readonly title: string | undefined
  readonly done: (outcome: Outcome) => void
}

/** `refused`: what the command path said no to. */
export type Outcome =
  | { readonly kind: 'imported' | 'duplicate' | 'unchanged' }
  | { readonly kind: 'refused'; readonly code: ErrorCode; readonly reason: string }

export interface LaneOptions {
  readonly bus: CommandBus
  readonly states: StateReader
  /** Whether a message was in the log before this run. Asked before somebody is joined to a conversation that was there already. */
  readonly isStored: (c: string, m: string) => Promise<boolean>
  readonly signal: AbortSignal
  readonly patience: Patience
  /** Called when it has nothing left to do. */
  readonly onIdle: (c: string) => void
}

/** Commands of one conversation that are with the bus at a time: a batch that is being appended, and what queues up behind it for the next. */
export const queueWindow = 2_000
const refillBelow = queueWindow / 2
/** A refusal that a state which has changed in between can explain is planned again so often. */
const replans = 3
const retryable: ReadonlySet<ErrorCode> = new Set(['OVERLOADED', 'UNAVAILABLE', 'RATE_LIMITED'])
const explainable: ReadonlySet<ErrorCode> = new Set(['NOT_MEMBER', 'NOT_FOUND', 'ALREADY_EXISTS'])

interface Failed {
  readonly job: ImportJob
  readonly index: number
  readonly error: ConfabError
}

/**
 * The items of one conversation, in order: many are with the bus at once, which appends its queue in batches. When one fails, nothing follows it until all
 * that are under way have ended; then those that failed go again, in order, before the rest.
 */
export class ImportLane {
  readonly #options: LaneOptions
  readonly #c: string
  #queue: ImportJob[] = []
  #running = false
  #wake: () => void = () => {}
  /** Items and commands with the bus. */
  #underWay = 0
  #commands = 0
  #failed: Failed[] = []
  #index = 0
  /** Undefined until it is known. */
  #wasThere: boolean | undefined
  #planned = nothingPlanned()

  constructor(options: LaneOptions, c: string) {
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
    // A turn of the loop, so that what is pushed together is planned together.
    await Promise.resolve()
    let tries = 0
    while (this.#queue.length > 0 || this.#underWay > 0 || this.#failed.length > 0) {
      if (this.#options.signal.aborted) {
        this.#queue = []
        this.#failed = []
        if (this.#underWay === 0) break
      }
      if (this.#failed.length > 0) {
        if (this.#underWay > 0) await this.#settled()
        else tries = await this.#again(tries)
      } else if (this.#queue.length === 0 || this.#commands > refillBelow) {
        await this.#settled()
        if (this.#failed.length === 0) tries = 0
      } else await this.#fill()
    }
    this.#running = false
    this.#options.onIdle(this.#c)
  }

  #settled(): Promise<void> {
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
      this.#wasThere ??= view !== undefined
      next = this.#queue.splice(0, queueWindow - this.#commands)
      while (next.length > 0 && this.#commands < queueWindow) {
        const { item, title } = next[0]!
        const isMember = this.#planned.members.get(item.user) ?? view?.roleOf(item.user) !== undefined
        // Somebody who has left since must not be joined again for a message that is there.
        const isOld =
          item.kind === 'message' && this.#wasThere && !isMember && (await isStored(item.c, item.m))
        const job = next.shift()!
        if (isOld) job.done({ kind: 'duplicate' })
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
      if (error !== undefined && !isDone(job, error)) this.#failed.push({ job, index, error })
      else job.done({ kind: 'duplicate' in answer && answer.duplicate === true ? 'duplicate' : 'imported' })
      if (this.#commands <= refillBelow) this.#wake()
    }
    this.#underWay++
    this.#commands += commands.length
    for (const { request, from, at } of commands)
      this.#options.bus.execute(request, { from, at }).then(
        answered => {
          this.#options.patience.well()
          answer = answered
          end()
        },
        reason => {
          error ??= asConfabError(reason)
          end()
        },
      )
  }

  /** Ends what failed for good, and puts the rest back in its order. */
  async #again(tries: number): Promise<number> {
    const failed = this.#failed.sort((a, b) => a.index - b.index)
    this.#failed = []
    const trouble = failed.find(({ error }) => retryable.has(error.code))
    const repeated: ImportJob[] = []
    for (const { job, error } of failed)
      if (retryable.has(error.code) || (explainable.has(error.code) && (tries < replans || trouble)))
        repeated.push(job)
      else job.done({ kind: 'refused', code: error.code, reason: error.message })
    this.#queue.unshift(...repeated)
    if (trouble === undefined) return tries + 1
    await this.#options.patience.wait(trouble.error, tries, this.#options.signal)
    return tries + 1
  }
}

/** Who has left in the meantime has nothing left to leave. */
const isDone = ({ item }: ImportJob, error: ConfabError): boolean =>
  item.kind === 'leave' && explainable.has(error.code)

const asConfabError = (error: unknown): ConfabError =>
  ConfabError.is(error) ? error : new ConfabError('INTERNAL', undefined, { cause: error })
