import type { Position } from '../../events/index.ts'
import type { InboxChange } from '../views/inbox-projection.ts'
import type { ProjectionName } from '../views/projection.ts'
import type { ReadStateChange } from '../views/read-state-projection.ts'
import type { RosterChange } from '../views/roster-projection.ts'
import type { SearchChange } from '../views/search-projection.ts'
import type { TimelineChange } from '../views/timeline-projection.ts'

/**
 * The write half of a view. Port; contract: test/contracts/view-stores.ts. Changes of one conversation (of one user,
 * for markers) arrive in order. Any part of them may be repeated any number of times: a change is idempotent by its
 * key, and a change older than the stored row has no effect.
 */
export interface ChangeStore<Change> {
  /**
   * Rejects with ChangeRejectedError when one of the changes can never be stored, and with any other error when a
   * retry may succeed. After a rejection an unknown part of the batch is stored, unless the call ran in `atomically`.
   */
  apply(changes: readonly Change[]): Promise<void>
  /** Deletes all rows. */
  clear(): Promise<void>
  /**
   * Yields all rows in batches, in no order. Rows stored during the iteration may or may not be included. The content
   * is adapter-specific but deterministic: two generations of a view are equal if and only if their rows are.
   */
  rows(): AsyncIterable<readonly ViewRow[]>
}

/** A row of a view, in a form for comparing generations. */
export interface ViewRow {
  /** The row's conversation. */
  readonly c: string
  /** The row's content, serialised. */
  readonly content: string
}

export type TimelineStore = ChangeStore<TimelineChange>
export type InboxStore = ChangeStore<InboxChange>
export type ReadStateStore = ChangeStore<ReadStateChange>
export type RosterStore = ChangeStore<RosterChange>
export type SearchIndex = ChangeStore<SearchChange>

/** The position that a generation of a projection has reached in a stream. */
export interface Checkpoint extends Position {
  readonly projection: ProjectionName
  readonly generation: number
  /** Version of the projection that wrote the rows. */
  readonly version: number
  /** Number of dead letters up to this position. */
  readonly deadLetters: number
}

/**
 * Stores checkpoints with fencing: of two workers that both believe to own a stream, only the one with the latest
 * claim can save. Rows written by the other are harmless, because changes are idempotent. Port; contract:
 * test/contracts/checkpoint-store.ts.
 */
export interface CheckpointStore {
  load(): Promise<readonly Checkpoint[]>
  /**
   * Claims a stream and resolves with a fencing token. From then on, saves succeed only with this token or a later
   * one.
   */
  claim(stream: string): Promise<number>
  /**
   * Saves checkpoints of one stream. Rejects with FencedError, and saves none, when the stream was claimed after this
   * token; a stream never claimed has token 0.
   */
  save(checkpoints: readonly Checkpoint[], epoch: number): Promise<void>
  /** Deletes the checkpoints of a generation of a projection, of any version. */
  remove(projection: ProjectionName, generation: number): Promise<void>
}

/** The change store of each projection. */
export interface StoreByProjection {
  readonly timeline: TimelineStore
  readonly inbox: InboxStore
  readonly 'read-state': ReadStateStore
  readonly roster: RosterStore
  readonly search: SearchIndex
}

/** A database of views with their checkpoints. One runner feeds all of it. */
export interface ViewStores {
  /** Technology, for logs and status: `sqlite`. */
  readonly name: string
  /** The views that it can store. */
  readonly projections: readonly ProjectionName[]
  /** Preferred maximum of events per batch. */
  readonly batch?: number
  /** Opens one generation of a view; creates it when it does not exist. */
  open<P extends ProjectionName>(projection: P, generation: number): Promise<StoreByProjection[P]>
  /** Deletes a generation: its rows and checkpoints. */
  drop(projection: ProjectionName, generation: number): Promise<void>
  readonly checkpoints: CheckpointStore
  /**
   * Runs `work` in a transaction where the database has them, one at a time. Without transactions, rows are written
   * before their checkpoint, so a crash in between repeats changes and loses none.
   */
  atomically(work: () => Promise<void>): Promise<void>
  close(): Promise<void>
}

/** Thrown when another worker has claimed the stream. */
export class FencedError extends Error {
  static is = (error: unknown): error is FencedError => error instanceof FencedError

  constructor(stream: string) {
    super(`another worker has claimed ${stream}`)
    this.name = 'FencedError'
  }
}

/** Thrown when a store can never apply a change: its event becomes a dead letter. */
export class ChangeRejectedError extends Error {
  static is = (error: unknown): error is ChangeRejectedError => error instanceof ChangeRejectedError

  constructor(reason: string, cause?: unknown) {
    super(reason, { cause })
    this.name = 'ChangeRejectedError'
  }
}
