import { sleep } from '../../../base/sleep.ts'
import type { OpenRegion } from './open-region.ts'
import { readDocument, replaceDocument } from './promise-document.ts'
import { type HomePromise, majorityOf } from './promises.ts'
import { journalSubject } from './promises-stream.ts'

/** The steps of a change of homes, in order. */
export const failoverSteps = ['raise', 'wait', 'promote', 'open', 're-mirror'] as const
export const switchOverSteps = ['freeze', 'marker', 'wait', 'promote', 'open', 're-mirror'] as const
export const rejoinSteps = ['fence', 'save', 're-mirror'] as const
export type RegionStep =
  | (typeof failoverSteps)[number]
  | (typeof switchOverSteps)[number]
  | (typeof rejoinSteps)[number]

/** A step of one stream that has been carried out. */
export interface DoneStep {
  readonly stream: string
  readonly step: RegionStep
  /** Start, ms since 1970. */
  readonly at: number
  readonly ms: number
  readonly result: 'done' | 'skipped' | 'failed'
}

/** A change of homes that an operator has begun. */
export interface RegionOperation {
  readonly kind: 'failover' | 'switch-over' | 'rejoin'
  readonly streams: readonly string[]
  /** The region that becomes the home; with `rejoin`, the region that returns. */
  readonly to: string
  /** The region that the operator vouches is off. */
  readonly fenced?: string
  /** The epoch of the new home. Known before the promises are raised. */
  readonly epoch?: number
  /** The promises that the operation replaces, by stream. */
  readonly before: Readonly<Record<string, HomePromise>>
  /** Sequence of the last event of the epoch before, by stream. */
  readonly cut: Readonly<Record<string, number>>
  /** The last sequence of the old home that is known, by stream. */
  readonly homeLast: Readonly<Record<string, number>>
  /** Time for which a stream refused writes, at most, ms. */
  readonly refusedMs: Readonly<Record<string, number>>
  readonly steps: readonly DoneStep[]
  readonly isDone: boolean
  /** Rises with each entry, also with the heartbeats of the operator's process. */
  readonly beat: number
}

export type NewOperation = Pick<RegionOperation, 'kind' | 'streams' | 'to' | 'fenced' | 'homeLast'>

/** Thrown when another operator's process has begun an operation, or has taken it over. */
export class OperationRunningError extends Error {}

/** Thrown when fewer than half of the regions can be written. */
export class NoMajorityError extends Error {}

const beatMs = 500
/** Time without a heartbeat after which the process of an operation counts as ended, ms. */
const lapseMs = 2_500

interface Copy extends OpenRegion {
  value: RegionOperation | undefined
  seq: number
}

/**
 * The journal of changes of homes, and a lock: one operator at a time. Every region has a copy, replaced by
 * compare-and-set. An entry counts when a majority of the regions has stored it, so a process that was taken over, or
 * that is cut off with a minority, writes no more.
 */
export class RegionJournal {
  readonly #copies: Copy[]
  readonly #needed: number
  #operation: RegionOperation | undefined
  #timer: NodeJS.Timeout | undefined
  #turn: Promise<unknown> = Promise.resolve()
  #failure: Error | undefined

  private constructor(copies: Copy[], needed: number) {
    this.#copies = copies
    this.#needed = needed
  }

  /**
   * Reads the journal of all regions that answer. `count`: the number of regions. `fenced`: a region that is off, which
   * does not count. Throws NoMajorityError.
   */
  static async open(
    open: readonly OpenRegion[],
    count: number,
    fenced: string | undefined,
  ): Promise<RegionJournal> {
    const others = open.filter(({ region }) => region.name !== fenced)
    const journal = new RegionJournal([], majorityOf(fenced === undefined ? count : count - 1))
    const read = await Promise.allSettled(others.map(one => copyOf(one)))
    for (const one of read) if (one.status === 'fulfilled') journal.#copies.push(one.value)
    journal.#checkMajority(journal.#copies.length)
    return journal
  }

  /** The operation that was begun last. */
  get operation(): RegionOperation | undefined {
    return this.#newest()
  }

  /** Whether another process is at work on an unfinished operation. Takes 2.5 s. */
  async isRunning(): Promise<boolean> {
    const before = this.#newest()
    if (before === undefined || before.isDone) return false
    await sleep(lapseMs)
    await Promise.allSettled(this.#copies.map(async copy => Object.assign(copy, await copyOf(copy))))
    return this.#newest()?.beat !== before.beat
  }

  /** Begins an operation. Throws OperationRunningError, NoMajorityError. */
  begin(operation: NewOperation): Promise<void> {
    return this.#start({
      ...operation,
      cut: {},
      refusedMs: {},
      steps: [],
      before: {},
      isDone: false,
      beat: 0,
    })
  }

  /** Takes an unfinished operation over. Throws OperationRunningError, NoMajorityError. */
  resume(operation: RegionOperation): Promise<void> {
    return this.#start(operation)
  }

  /** The operation of this process, as it stored it last. */
  get current(): RegionOperation {
    if (this.#operation === undefined) throw new Error('no operation has begun')
    return this.#operation
  }

  /** Stores progress. Throws OperationRunningError, NoMajorityError. */
  record(change: (before: RegionOperation) => Partial<RegionOperation>): Promise<void> {
    const turn = this.#turn.then(async () => {
      if (this.#failure !== undefined) throw this.#failure
      const before = this.current
      await this.#write({ ...before, ...change(before), beat: before.beat + 1 })
    })
    this.#turn = turn.catch(() => {})
    return turn
  }

  /** Ends the heartbeats. */
  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#turn.catch(() => {})
  }

  async #start(operation: RegionOperation): Promise<void> {
    const before = this.#copies.map(({ value }) => value)
    const own = { ...operation, beat: (this.#newest()?.beat ?? 0) + 1 }
    try {
      await this.#write(own)
    } catch (error) {
      // Copies that this process has stored would look like an unfinished operation.
      const stored = this.#copies.map(({ value }) => value === own)
      await Promise.allSettled(
        this.#copies.map(async (copy, index) => {
          if (stored[index]) await store(copy, before[index] ?? { ...own, isDone: true })
        }),
      )
      throw error
    }
    this.#timer = setInterval(() => void this.record(() => ({})).catch(() => {}), beatMs)
  }

  #newest(): RegionOperation | undefined {
    return this.#copies
      .map(({ value }) => value)
      .reduce<RegionOperation | undefined>(
        (newest, one) => (one !== undefined && one.beat > (newest?.beat ?? -1) ? one : newest),
        undefined,
      )
  }

  #checkMajority(answered: number): void {
    if (answered < this.#needed)
      throw new NoMajorityError(
        `${answered} ${answered === 1 ? 'region answers' : 'regions answer'}, and ${this.#needed} are needed`,
      )
  }

  async #write(operation: RegionOperation): Promise<void> {
    const results = await Promise.allSettled(this.#copies.map(copy => store(copy, operation)))
    const stored = results.filter(one => one.status === 'fulfilled' && one.value).length
    const refused = results.filter(one => one.status === 'fulfilled' && !one.value).length
    if (stored >= this.#needed) {
      this.#operation = operation
      return
    }
    this.#failure =
      refused > 0
        ? new OperationRunningError('another operator changes the homes of streams')
        : new NoMajorityError(`${stored} of ${this.#needed} regions that are needed stored the journal`)
    throw this.#failure
  }
}

const copyOf = async ({ region, nats }: OpenRegion): Promise<Copy> => ({
  region,
  nats,
  ...(await readDocument<RegionOperation>(nats, journalSubject(region.name))),
})

/** Resolves with false when another process has stored an entry there. A later entry then replaces it. */
const store = async (copy: Copy, operation: RegionOperation): Promise<boolean> => {
  const seq = await replaceDocument(copy.nats, journalSubject(copy.region.name), operation, copy.seq)
  if (seq === undefined) {
    Object.assign(copy, await copyOf(copy))
    return false
  }
  Object.assign(copy, { value: operation, seq })
  return true
}
