import { randomUUID } from 'node:crypto'
import { ConfabError, ErrorRegistry } from '../events/index.ts'
import { type ActionName, factsOf } from './actions.ts'
import { AuditError, AuditProblem } from './audit-error.ts'
import { boundedFacts, boundedText, type Facts } from './facts.ts'
import type { AuditEntry, AuditRecord } from './record.ts'

/** Appends to the chain of records. Port. */
export interface AuditLog {
  /** Resolves when the record is stored, with the record. Rejects with AuditError. */
  append(entry: AuditEntry): Promise<AuditRecord>
}

/** A user, operator or process that acts. */
export interface Actor {
  /** `kind:name`, as in a record. */
  readonly actor: string
  readonly role?: string | undefined
  readonly osUser?: string | undefined
}

/** The facts about one action that are known before it starts. */
export interface ActionDetails {
  readonly target?: string | undefined
  readonly params?: Facts | undefined
  /** Default: the actor of the trail. */
  readonly by?: Actor | undefined
}

export interface AuditTrailOptions {
  readonly log: AuditLog
  /** The actor of actions that name no other one. */
  readonly actor: Actor
  /** This process: `host/pid`. */
  readonly process: string
  /** Receives the reason why an action is not recorded. The action continues. */
  readonly onUnrecorded: (error: Error, action: ActionName) => void
  /** The interval of `perMinute`, ms. Default: a minute. */
  readonly minuteMs?: number
}

type Outcome = Pick<AuditRecord, 'outcome' | 'code' | 'result'>

/** An interval in which an action may be recorded a limited number of times. */
interface Interval {
  recorded: number
  skipped: number
  readonly timer: NodeJS.Timeout
}

const codeOf = (error: unknown): string => {
  const { code } = (error ?? {}) as { readonly code?: unknown }
  return typeof code === 'string' && /^[A-Z][A-Z0-9_]{1,63}$/.test(code) ? code : 'INTERNAL'
}

const failureOf = (error: unknown): Outcome => ({
  outcome: ConfabError.is(error) && ErrorRegistry[error.code].status < 500 ? 'refused' : 'failed',
  code: codeOf(error),
})

/** The recorder of a process: all actions of operators and admins pass through it. */
export class AuditTrail {
  readonly #options: AuditTrailOptions
  readonly #minuteMs: number
  readonly #intervals = new Map<ActionName, Interval>()
  readonly #underWay = new Set<Promise<void>>()
  #stored = 0
  #failed = 0
  #refused = 0

  constructor(options: AuditTrailOptions) {
    this.#options = options
    this.#minuteMs = options.minuteMs ?? 60_000
  }

  /** Records that this process stored, and that it could not store; admin requests that it refused. */
  get counts(): { readonly stored: number; readonly failed: number; readonly refused: number } {
    return { stored: this.#stored, failed: this.#failed, refused: this.#refused }
  }

  /**
   * Runs an action and records it, as the table of actions says. `work` reports facts about its outcome. Rejects as
   * `work` does; with AuditError, without a call of `work`, when the action must not start unrecorded.
   */
  async perform<T>(
    action: ActionName,
    details: ActionDetails,
    work: (report: (facts: Facts) => void) => Promise<T> | T,
  ): Promise<T> {
    const request = randomUUID()
    const { recording } = factsOf(action)
    if (recording !== 'after') await this.#start(action, details, request, recording === 'required')
    let result: Facts | undefined
    const report = (facts: Facts): void => {
      result = { ...result, ...facts }
    }
    const end = (outcome: Outcome): Promise<void> =>
      this.#record(action, details, request, result === undefined ? outcome : { ...outcome, result })
    try {
      const value = await work(report)
      await end({ outcome: 'done' })
      return value
    } catch (error) {
      await end(failureOf(error))
      throw error
    }
  }

  /** Records what has happened. Never rejects. */
  note(action: ActionName, details: ActionDetails, outcome: Outcome = { outcome: 'done' }): Promise<void> {
    if (action === 'admin.refuse') this.#refused++
    return this.#record(action, details, randomUUID(), outcome)
  }

  /** Records what was counted only, and waits for records under way. */
  async stop(): Promise<void> {
    for (const action of [...this.#intervals.keys()]) this.#endInterval(action)
    await Promise.all(this.#underWay)
  }

  async #start(
    action: ActionName,
    details: ActionDetails,
    request: string,
    isRequired: boolean,
  ): Promise<void> {
    try {
      await this.#append(action, details, request, { outcome: 'started' })
    } catch (error) {
      if (!isRequired) return this.#options.onUnrecorded(error as Error, action)
      throw new AuditError(
        AuditProblem.unavailable,
        `${action} was not started, because it cannot be recorded: ${(error as Error).message}`,
        error,
      )
    }
  }

  /** Never rejects. */
  #record(action: ActionName, details: ActionDetails, request: string, outcome: Outcome): Promise<void> {
    if (!this.#isWithinLimit(action)) return Promise.resolve()
    const recording = this.#append(action, details, request, outcome).catch((error: Error) =>
      this.#options.onUnrecorded(error, action),
    )
    this.#underWay.add(recording)
    return recording.finally(() => this.#underWay.delete(recording))
  }

  async #append(
    action: ActionName,
    details: ActionDetails,
    request: string,
    outcome: Outcome,
  ): Promise<void> {
    const { actor, role, osUser } = details.by ?? this.#options.actor
    const { target, params } = details
    const { code, result } = outcome
    const entry: AuditEntry = {
      at: new Date().toISOString(),
      actor: boundedText(actor),
      ...(role === undefined ? {} : { role: boundedText(role) }),
      ...(osUser === undefined ? {} : { osUser: boundedText(osUser) }),
      process: this.#options.process,
      action,
      ...(target === undefined ? {} : { target: boundedText(target) }),
      ...(params === undefined ? {} : { params: boundedFacts(params) }),
      outcome: outcome.outcome,
      ...(code === undefined ? {} : { code }),
      ...(result === undefined ? {} : { result: boundedFacts(result) }),
      request,
    }
    try {
      await this.#options.log.append(entry)
      this.#stored++
    } catch (error) {
      this.#failed++
      throw error
    }
  }

  /** Counts a record. Returns false when it exceeds the limit of its action. */
  #isWithinLimit(action: ActionName): boolean {
    const { perMinute } = factsOf(action)
    if (perMinute === undefined) return true
    let interval = this.#intervals.get(action)
    if (interval === undefined) {
      const timer = setTimeout(() => this.#endInterval(action), this.#minuteMs)
      timer.unref()
      interval = { recorded: 0, skipped: 0, timer }
      this.#intervals.set(action, interval)
    }
    if (interval.recorded < perMinute) {
      interval.recorded++
      return true
    }
    interval.skipped++
    return false
  }

  #endInterval(action: ActionName): void {
    const interval = this.#intervals.get(action)
    this.#intervals.delete(action)
    if (interval === undefined) return
    clearTimeout(interval.timer)
    // Counts as the first record of the next interval, so that a flood makes no more records than the limit allows.
    if (interval.skipped > 0)
      void this.#record(action, { by: { actor: 'unknown' } }, randomUUID(), {
        outcome: action === 'admin.refuse' ? 'refused' : 'done',
        result: { notRecorded: interval.skipped },
      })
  }
}
