import type { Position } from '../../events/index.ts'
import type { InboxChange } from '../views/inbox-projection.ts'
import type { ProjectionName } from '../views/projection.ts'
import type { ReadStateChange } from '../views/read-state-projection.ts'
import type { RosterChange } from '../views/roster-projection.ts'
import type { SearchChange } from '../views/search-projection.ts'
import type { TimelineChange } from '../views/timeline-projection.ts'

/**
 * The write half of a view. Port; every adapter passes test/contracts/view-stores.ts.
 *
 * Changes of one conversation (of one user, for marks) come in their order; any part of them may come again, any number of times: a change is idempotent by
 * its key, and one that is older than what stands under its key changes nothing.
 */
export interface ChangeStore<Change> {
  /**
   * Rejects with ChangeRejectedError when one of the changes can never be stored; with anything else when trying again may help. What was stored of the
   * batch then is unknown, unless it ran in `atomically`.
   */
  apply(changes: readonly Change[]): Promise<void>
  /** Forgets all rows. */
  clear(): Promise<void>
  /**
   * All that it holds, some rows at a time, in no order; what is stored meanwhile may be among it or not. Rows are in a form of the adapter's own, the same for
   * the same view: two generations of a view are equal when their rows are.
   */
  rows(): AsyncIterable<readonly ViewRow[]>
}

/** A row of a view, to compare generations by. */
export interface ViewRow {
  /** The conversation that it is of. */
  readonly c: string
  /** What stands in it. */
  readonly content: string
}

export type TimelineStore = ChangeStore<TimelineChange>
export type InboxStore = ChangeStore<InboxChange>
export type ReadStateStore = ChangeStore<ReadStateChange>
export type RosterStore = ChangeStore<RosterChange>
export type SearchIndex = ChangeStore<SearchChange>

/** How far a generation of a projection has come in a stream. */
export interface Checkpoint extends Position {
  readonly projection: ProjectionName
  readonly generation: number
  /** The projection's, when the rows were written. */
  readonly version: number
  /** Events that became dead letters on the way here. */
  readonly deadLetters: number
}

/**
 * Checkpoints, fenced: of two workers that both believe to have a stream, only the one that claimed it last gets any further. The other's rows do no harm, as
 * changes are idempotent. Port; contract: test/contracts/checkpoint-store.ts.
 */
export interface CheckpointStore {
  load(): Promise<readonly Checkpoint[]>
  /** Takes a stream over: only saves with the epoch that this resolves with, or with that of a later claim, succeed from then on. */
  claim(stream: string): Promise<number>
  /** Checkpoints of one stream. Rejects with FencedError, and stores none, when the stream was claimed since `epoch`; a stream never claimed is at 0. */
  save(checkpoints: readonly Checkpoint[], epoch: number): Promise<void>
  /** Forgets the checkpoints of a generation of a projection, whatever their version. */
  remove(projection: ProjectionName, generation: number): Promise<void>
}

/** What the store of each projection takes. */
export interface StoreByProjection {
  readonly timeline: TimelineStore
  readonly inbox: InboxStore
  readonly 'read-state': ReadStateStore
  readonly roster: RosterStore
  readonly search: SearchIndex
}

/** A database that views are kept in, with the checkpoints of what it holds: one runner feeds all of it. */
export interface ViewStores {
  /** The technology, for logs and status: `sqlite`. */
  readonly name: string
  /** The views that it can hold. */
  readonly projections: readonly ProjectionName[]
  /** Events that it likes to be given at once, at most. */
  readonly batch?: number
  /** A generation of one of its views; made when it is not there. */
  open<P extends ProjectionName>(projection: P, generation: number): Promise<StoreByProjection[P]>
  /** Forgets a generation: its rows and its checkpoints. */
  drop(projection: ProjectionName, generation: number): Promise<void>
  readonly checkpoints: CheckpointStore
  /**
   * Runs `work`: where the store has transactions, one at a time, and everything that it stores is kept, or nothing. Where it has none, rows are written before
   * their checkpoint, so that a crash between repeats changes and loses none.
   */
  atomically(work: () => Promise<void>): Promise<void>
  close(): Promise<void>
}

/** Another worker has claimed the stream. */
export class FencedError extends Error {
  static is = (error: unknown): error is FencedError => error instanceof FencedError

  constructor(stream: string) {
    super(`another worker has taken over ${stream}`)
    this.name = 'FencedError'
  }
}

/** A store can't take a change, now or ever: the event behind it is poison. */
export class ChangeRejectedError extends Error {
  static is = (error: unknown): error is ChangeRejectedError => error instanceof ChangeRejectedError

  constructor(reason: string, cause?: unknown) {
    super(reason, { cause })
    this.name = 'ChangeRejectedError'
  }
}
