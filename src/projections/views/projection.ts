import type { ConversationEvent, StoredEvent, UserEvent } from '../../events/index.ts'

/** The projections, by name. A name is part of checkpoints and of the dead letters' subjects. */
export const projectionNames = ['timeline', 'inbox', 'read-state', 'roster', 'search'] as const
export type ProjectionName = (typeof projectionNames)[number]

/**
 * Which generation of each view is meant; 1 where it is not named. A view is built again as another generation beside the one that is read, and readers are
 * switched over when it is complete.
 */
export type Generations = { readonly [P in ProjectionName]?: number }

/** An event that was decoded once for all projections. */
export interface ProjectedEvent {
  readonly stored: StoredEvent
  /** Its body at the current version. */
  readonly event: ConversationEvent | UserEvent
}

/**
 * What an event means to a view, as changes of rows. Pure: no I/O, no clock, no state, so that a replay gives the same changes. Throws only on an event that it
 * can't take: it becomes a dead letter of this projection, and the projection goes on.
 */
export interface Projection<Change> {
  readonly name: ProjectionName
  /** Raised when its changes for the same events are no longer the same: the rows are then built again. */
  readonly version: number
  apply(projected: ProjectedEvent): readonly Change[]
}

/** For an event that changes nothing. */
export const noChanges: readonly never[] = []
