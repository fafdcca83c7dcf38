import type { KV } from '@nats-io/kv'
import { sleep } from '../../../base/sleep.ts'
import type { Family } from '../../../events/index.ts'
import type { Nats } from '../client/connection.ts'
import { requestTimeoutMs } from '../client/jetstream-api.ts'
import { Bucket } from '../coordination/buckets.ts'
import { isBucketConflict, openBucket } from '../coordination/kv-bucket.ts'
import type { MoveStep } from './move-steps.ts'
import type { PartitionMove } from './plan-moves.ts'

/** A move with what is known about it. */
export interface JournaledMove extends PartitionMove {
  /** The step that was begun last. */
  readonly step?: MoveStep | 'done'
  /** Time for which the partitions refused writes, at most, ms. Unknown when a run ended after it had cut them off. */
  readonly refusedMs?: number
}

/** The moves that an operator has begun. */
export interface ReshardOperation {
  readonly family: Family
  readonly moves: readonly JournaledMove[]
  readonly isDone: boolean
  /** Changes with each heartbeat of the operator's process. */
  readonly beat: number
}

const key = 'reshard'
const beatMs = 500
/** Time without a heartbeat after which the process of an operation counts as ended, ms. */
const lapseMs = 2_500

/** Thrown when another operator's process has taken the operation over. */
export class OperationTakenError extends Error {}

/**
 * The journal of moves of partitions, and a lock: one operator at a time. Each entry replaces the one before by
 * compare-and-set, so a process that was taken over writes no more.
 */
export class OperationJournal {
  readonly #kv: KV
  #operation: ReshardOperation | undefined
  #revision = 0
  #timer: NodeJS.Timeout | undefined
  #turn: Promise<unknown> = Promise.resolve()
  #failure: Error | undefined

  private constructor(kv: KV) {
    this.#kv = kv
  }

  /** Opens the journal, and creates its bucket when there is none. Throws NatsError. */
  static async open(nats: Nats): Promise<OperationJournal> {
    return new OperationJournal(await openBucket(nats, { ...Bucket.operations, timeout: requestTimeoutMs }))
  }

  /** Reads the last operation. */
  async read(): Promise<ReshardOperation | undefined> {
    const entry = await this.#kv.get(key)
    this.#revision = entry?.revision ?? 0
    this.#operation = entry?.operation === 'PUT' ? entry.json<ReshardOperation>() : undefined
    return this.#operation
  }

  /** Whether another process is at work on an unfinished operation. Takes 2.5 s. */
  async isRunning(): Promise<boolean> {
    const before = await this.read()
    if (before === undefined || before.isDone) return false
    await sleep(lapseMs)
    return (await this.read())?.beat !== before.beat
  }

  /** Begins, or takes over, an operation. Throws OperationTakenError when another process did so since `read`. */
  async begin(operation: Omit<ReshardOperation, 'beat' | 'isDone'>): Promise<void> {
    this.#failure = undefined
    await this.#write({ ...operation, isDone: false, beat: (this.#operation?.beat ?? 0) + 1 })
    this.#timer = setInterval(() => void this.#change(before => before).catch(() => {}), beatMs)
  }

  /** Records the progress of a move. Throws OperationTakenError. */
  record(index: number, progress: Pick<JournaledMove, 'step' | 'refusedMs'>): Promise<void> {
    return this.#change(before => ({
      ...before,
      moves: before.moves.map((move, i) => (i === index ? { ...move, ...progress } : move)),
    }))
  }

  /** Records the end of the operation. Throws OperationTakenError. */
  finish(): Promise<void> {
    return this.#change(before => ({ ...before, isDone: true }))
  }

  /** Ends the heartbeats. */
  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#turn.catch(() => {})
  }

  /** Replaces the entry, one change at a time. */
  #change(next: (before: ReshardOperation) => ReshardOperation): Promise<void> {
    const turn = this.#turn.then(async () => {
      if (this.#failure !== undefined) throw this.#failure
      if (this.#operation === undefined) return
      await this.#write({ ...next(this.#operation), beat: this.#operation.beat + 1 })
    })
    this.#turn = turn.catch(() => {})
    return turn
  }

  async #write(operation: ReshardOperation): Promise<void> {
    try {
      this.#revision = await this.#kv.put(key, JSON.stringify(operation), { previousSeq: this.#revision })
      this.#operation = operation
    } catch (error) {
      if (!isBucketConflict(error)) throw error
      this.#failure = new OperationTakenError('another process has taken the operation over')
      throw this.#failure
    }
  }
}
