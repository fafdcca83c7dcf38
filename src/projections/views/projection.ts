import type { ConversationEvent, StoredEvent, UserEvent } from '../../events/index.ts'

/** The projections, by name. The name is part of checkpoints and of the subjects of dead letters. */
export const projectionNames = ['timeline', 'inbox', 'read-state', 'roster', 'search'] as const
export type ProjectionName = (typeof projectionNames)[number]

/**
 * A generation per view; 1 where a view is not named. A rebuild creates another generation beside the live one, and
 * readers switch when it is complete.
 */
export type Generations = { readonly [P in ProjectionName]?: number }

/** An event, decoded once for all projections. */
export interface ProjectedEvent {
  readonly stored: StoredEvent
  /** The event's body at the current schema version. */
  readonly event: ConversationEvent | UserEvent
}

/**
 * Translates an event into row changes of a view. Pure (no I/O, clock or state), so a replay produces the same
 * changes. Throws only on an event that it cannot apply: the event becomes a dead letter of this projection, and the
 * projection continues.
 */
export interface Projection<Change> {
  readonly name: ProjectionName
  /** Increased when the changes for the same events differ from before: the rows are then rebuilt. */
  readonly version: number
  apply(projected: ProjectedEvent): readonly Change[]
  /**
   * Returns the changes for an event of a conversation whose type only a later version knows: it counts, although its
   * content has no effect. Not given: no changes.
   */
  applyUnknown?(stored: StoredEvent): readonly Change[]
}

/** The result for an event without changes. */
export const noChanges: readonly never[] = []
