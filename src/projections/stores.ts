import type { Position } from '../events/index.ts'
import type { InboxChange } from './inbox-projection.ts'
import type { ProjectionName } from './projection.ts'
import type { ReadStateChange } from './read-state-projection.ts'
import type { RosterChange } from './roster-projection.ts'
import type { SearchChange } from './search-projection.ts'
import type { TimelineChange } from './timeline-projection.ts'

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
}

export type TimelineStore = ChangeStore<TimelineChange>
export type InboxStore = ChangeStore<InboxChange>
export type ReadStateStore = ChangeStore<ReadStateChange>
export type RosterStore = ChangeStore<RosterChange>
export type SearchIndex = ChangeStore<SearchChange>

/** How far a version of a projection has come in a stream. */
export interface Checkpoint extends Position {
  readonly projection: ProjectionName
  readonly version: number
  /** Events that became dead letters on the way here. */
  readonly deadLetters: number
}

export interface CheckpointStore {
  load(): Promise<readonly Checkpoint[]>
  save(checkpoints: readonly Checkpoint[]): Promise<void>
  /** Forgets all checkpoints of a projection, whatever their version. */
  remove(projection: ProjectionName): Promise<void>
}

/** Stores that one runner feeds together, with the checkpoints of what they hold. */
export interface ViewStores {
  readonly timeline: TimelineStore
  readonly inbox: InboxStore
  readonly readState: ReadStateStore
  readonly roster: RosterStore
  readonly search: SearchIndex
  readonly checkpoints: CheckpointStore
  /**
   * Runs `work`, one at a time: everything that it stores is kept, or nothing, where the store has transactions. Where it has none, rows are written before
   * their checkpoint, so that a crash between repeats changes and loses none.
   */
  atomically(work: () => Promise<void>): Promise<void>
  close(): Promise<void>
}

/** A store can't take a change, now or ever: the event behind it is poison. */
export class ChangeRejectedError extends Error {
  static is = (error: unknown): error is ChangeRejectedError => error instanceof ChangeRejectedError

  constructor(reason: string, cause?: unknown) {
    super(reason, { cause })
    this.name = 'ChangeRejectedError'
  }
}
