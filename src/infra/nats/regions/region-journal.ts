import { nuid } from '@nats-io/transport-node'
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
  /** The regions that the operator vouches are off. */
  readonly fenced?: readonly string[]
  /** The epoch of the new home. Known before the promises are raised. */
  readonly epoch?: number
  /** Operations before this one may have used the epochs up to here, in regions that do not answer now. */
  readonly usedEpoch: number
  /** Whether the old homes are frozen, and the mirrors have all events. Only then may the promises be raised. */
  readonly isDrained: boolean
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
  /** The process that stored the entry. */
  readonly owner: string
}

export type NewOperation = Pick<RegionOperation, 'kind' | 'streams' | 'to' | 'fenced' | 'homeLast'>

/** Thrown when another operator's process has begun an operation, or has taken it over. */
export class OperationRunningError extends Error {}

/** Thrown when fewer than half of the regions can be written. */
export class NoMajorityError extends Error {}

const beatMs = 500
/** Time without a heartbeat after which the process of an operation counts as ended, ms. */
const lapseMs = 2_500

/** The copy of the journal in one region. */
interface Copy extends OpenRegion {
  value: RegionOperation | undefined
  seq: number
  /** The entry to store next. */
  wanted: RegionOperation | undefined
  /** The end of the entry in progress. */
  turn: Promise<unknown>
}

/**
 * The journal of changes of homes, and a lock: one operator at a time. Every region has a copy, replaced by
 * compare-and-set. An entry counts when a majority of the regions has stored it, so a process that was taken over, or
 * that is cut off with a minority, writes no more.
 */
export class RegionJournal {
  readonly #owner = nuid.next()
  readonly #copies: readonly Copy[]
  readonly #needed: number
  #operation: RegionOperation | undefined
  #beat = 0
  #timer: NodeJS.Timeout | undefined
  #turn: Promise<unknown> = Promise.resolve()
  #isBeating = false
  #takenOver: OperationRunningError | undefined

  private constructor(copies: readonly Copy[], needed: number) {
    this.#copies = copies
    this.#needed = needed
  }

  /**
   * Reads the journal of all regions that answer. `count`: the number of regions. `fenced`: regions that are off, which
   * do not count. Throws NoMajorityError.
   */
  static async open(
    open: readonly OpenRegion[],
    count: number,
    fenced: readonly string[],
  ): Promise<RegionJournal> {
    const read = await Promise.allSettled(
      open.filter(({ region }) => !fenced.includes(region.name)).map(one => copyOf(one)),
    )
    const copies = read.flatMap(one => (one.status === 'fulfilled' ? [one.value] : []))
    const needed = majorityOf(count - fenced.length)
    if (copies.length < needed)
      throw new NoMajorityError(
        `${copies.length} ${copies.length === 1 ? 'region answers' : 'regions answer'}, and ${needed} are needed`,
      )
    return new RegionJournal(copies, needed)
  }

  /** The operation that was begun last. */
  get operation(): RegionOperation | undefined {
    return newestOf(this.#copies)
  }

  /** Whether another process is at work on an unfinished operation. Takes 2.5 s. */
  async isRunning(): Promise<boolean> {
    const before = this.operation
    if (before === undefined || before.isDone) return false
    await sleep(lapseMs)
    await Promise.allSettled(this.#copies.map(readAgain))
    return this.operation?.beat !== before.beat
  }

  /** Begins an operation, in place of an unfinished one. Throws OperationRunningError, NoMajorityError. */
  begin(operation: NewOperation): Promise<void> {
    const { epoch = 0, usedEpoch = 0 } = this.operation ?? {}
    return this.#start({
      ...operation,
      ...{ cut: {}, refusedMs: {}, steps: [], before: {}, isDone: false, isDrained: false },
      usedEpoch: Math.max(epoch, usedEpoch),
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

  /**
   * Stores progress, or that this process is still the one at work. Throws OperationRunningError when another process
   * has taken the operation over. Throws NoMajorityError; a later entry may then be stored again.
   */
  record(change: (before: RegionOperation) => Partial<RegionOperation> = () => ({})): Promise<void> {
    const turn = this.#turn.then(async () => {
      const before = this.current
      await this.#write({ ...before, ...change(before) })
    })
    this.#turn = turn.catch(() => {})
    return turn
  }

  /** Ends the heartbeats. */
  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#turn
    await Promise.all(this.#copies.map(({ turn }) => turn))
  }

  async #start(operation: Omit<RegionOperation, 'beat' | 'owner'>): Promise<void> {
    const before = this.#copies.map(({ value }) => value)
    this.#beat = this.operation?.beat ?? 0
    try {
      await this.#write(operation)
    } catch (error) {
      // Copies that this process has stored would look like an unfinished operation.
      await Promise.all(this.#copies.map(({ turn }) => turn))
      await Promise.allSettled(
        this.#copies.map(async (copy, index) => {
          const { value } = copy
          if (value?.owner === this.#owner) await replace(copy, before[index] ?? { ...value, isDone: true })
        }),
      )
      throw error
    }
    // Before the first step. The entry is then newer than what a process that lost the lock left in some region.
    await this.record()
    this.#timer = setInterval(() => this.#sendBeat(), beatMs)
  }

  #sendBeat(): void {
    if (this.#isBeating) return
    this.#isBeating = true
    void this.record()
      .catch(() => {})
      .finally(() => {
        this.#isBeating = false
      })
  }

  /** Stores an entry. Does not wait for a region that is slower than a majority. */
  async #write(change: Omit<RegionOperation, 'beat' | 'owner'>): Promise<void> {
    if (this.#takenOver !== undefined) throw this.#takenOver
    this.#beat++
    const operation = { ...change, beat: this.#beat, owner: this.#owner }
    let [stored, refused, open] = [0, 0, this.#copies.length]
    const { promise, resolve } = Promise.withResolvers<void>()
    for (const copy of this.#copies) {
      copy.wanted = operation
      copy.turn = copy.turn
        // A later entry replaces one that has waited for a slow region.
        .then(() => (copy.wanted === operation ? store(copy, operation) : 'superseded'))
        .then(
          result => {
            if (result === 'stored') stored++
            if (result === 'refused') refused++
          },
          () => {},
        )
        .then(() => {
          open--
          if (stored >= this.#needed || open === 0) resolve()
        })
    }
    await promise
    if (stored >= this.#needed) {
      this.#operation = operation
      return
    }
    if (refused === 0)
      throw new NoMajorityError(`${stored} of ${this.#needed} regions that are needed stored the journal`)
    this.#takenOver = new OperationRunningError('another operator changes the homes of streams')
    throw this.#takenOver
  }
}

const copyOf = async ({ region, nats }: OpenRegion): Promise<Copy> => ({
  region,
  nats,
  ...(await readDocument<RegionOperation>(nats, journalSubject(region.name))),
  wanted: undefined,
  turn: Promise.resolve(),
})

const readAgain = async (copy: Copy): Promise<void> => {
  Object.assign(copy, await readDocument<RegionOperation>(copy.nats, journalSubject(copy.region.name)))
}

/** Returns the newest entry; of several, the one that most regions have. */
const newestOf = (copies: readonly Pick<Copy, 'value'>[]): RegionOperation | undefined => {
  const values = copies.flatMap(({ value }) => (value === undefined ? [] : [value]))
  const newest = values.filter(({ beat }) => values.every(other => other.beat <= beat))
  const countOf = ({ owner }: RegionOperation): number => newest.filter(one => one.owner === owner).length
  return newest.toSorted((one, other) => countOf(other) - countOf(one))[0]
}

/** Returns an unfinished operation, as the regions that answer have it; undefined when there is none. */
export const unfinishedIn = async (open: readonly OpenRegion[]): Promise<RegionOperation | undefined> => {
  const read = await Promise.allSettled(open.map(copyOf))
  const newest = newestOf(read.flatMap(one => (one.status === 'fulfilled' ? [one.value] : [])))
  return newest?.isDone === false ? newest : undefined
}

/** Replaces the entry of a region that is still the one which this process knows. Resolves with whether it was. */
const replace = async (copy: Copy, operation: RegionOperation): Promise<boolean> => {
  const seq = await replaceDocument(copy.nats, journalSubject(copy.region.name), operation, copy.seq)
  if (seq !== undefined) Object.assign(copy, { value: operation, seq })
  return seq !== undefined
}

/** Stores an entry, unless another process has stored one. A later entry then replaces that. */
const store = async (copy: Copy, operation: RegionOperation): Promise<'stored' | 'refused'> => {
  while (!(await replace(copy, operation))) {
    await readAgain(copy)
    // An entry of this process was stored without an answer.
    if (copy.value?.owner !== operation.owner) return 'refused'
  }
  return 'stored'
}
