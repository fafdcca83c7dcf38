import type { Logger } from '../../base/logger.ts'
import { defaultsOf, option, type ValuesOf } from '../../base/option.ts'
import { duration, integer, minutes, seconds } from '../../base/option-types.ts'
import type { StoredEvent } from '../../events/index.ts'
import type { DeadLetters, EventSource } from '../ports/event-source.ts'
import type { ViewStores } from '../ports/stores.ts'
import type { ProjectionTarget } from './projection-target.ts'

/** Projection workers. */
export const projectionOptions = {
  batch: option({
    key: 'projections.batch',
    type: integer(1, 100_000),
    unit: 'events',
    shownDefault: '2000, or the number that suits the database',
    doc: 'Most events that a projection applies in one transaction.',
  }),
  leaseMs: option({
    key: 'projections.lease',
    type: duration(500, 5 * minutes),
    default: 3 * seconds,
    doc: 'Time without a heartbeat of a worker after which other workers take over its streams. Workers of one system need the same value.',
  }),
} as const

export type ProjectionSettings = ValuesOf<typeof projectionOptions>

export const defaultProjectionSettings: ProjectionSettings = defaultsOf(projectionOptions)

/** Receives what a runner reports: projections run on a thread of their own, where pino does not. */
export type RunnerLog = Pick<Logger, 'info' | 'warn' | 'error'>

export interface RunnerOptions {
  readonly source: EventSource
  readonly stores: ViewStores
  /** Not given: an event that cannot be applied is logged, counted and skipped. */
  readonly deadLetters?: DeadLetters
  readonly log: RunnerLog
  /** The targets to feed. Default: all projections that the stores can hold, at generation 1. */
  readonly feeds?: readonly ProjectionTarget[]
  /** Streams to follow from the start. Default: all. */
  readonly streams?: readonly string[]
  /**
   * Maximum number of events per transaction. Default: the stores' preference, else 2,000, so that hot rows and pages
   * are written once for many events.
   */
  readonly batch?: number
  /** First wait after a failure, ms; doubles up to 5,000. Default 50. */
  readonly retryMs?: number
  /** Called when projections have stored events. `startedAt`: when their transaction began, ms since 1970. */
  readonly onStored?:
    | ((projections: readonly string[], events: readonly StoredEvent[], startedAt: number) => void)
    | undefined
  /** Interval of reading the streams' ends, ms. Default 1,000. */
  readonly headEveryMs?: number
}
