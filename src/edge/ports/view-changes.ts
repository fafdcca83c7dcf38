import type { ProjectionName } from '../../projections/index.ts'

/**
 * Reports changes of the views that this process feeds, so that waiting requests need not poll their positions. Port.
 */
export interface ViewChanges {
  /** Whether all changes of a projection's view are reported. False: other processes feed the view, or none does. */
  covers(projection: ProjectionName): boolean
  /** Number of the last change. */
  version(): number
  /** Resolves after the next change, at once when the last change is not number `version`, or after `ms`. */
  after(version: number, ms: number): Promise<void>
}
