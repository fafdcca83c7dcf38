import type { Position, StoredEvent } from '../../events/index.ts'
import type { EventSource } from '../ports/event-source.ts'
import type { ViewStores } from '../ports/stores.ts'
import type { ProjectionName } from '../views/projection.ts'
import { FeedRejectedError, projectBatch, writeChanges } from './project-batch.ts'
import type { ProjectionTarget } from './projection-target.ts'

/** A dead letter that is to be tried again. */
export interface RetryRequest extends Position {
  readonly projection: ProjectionName
}

/** What came of it: the generations that have taken the event now, or why one has not. */
export type RetryOutcome =
  | { readonly ok: true; readonly generations: readonly number[] }
  | { readonly ok: false; readonly reason: string }

/**
 * Applies an event that a projection could not take once more, to generations that have gone on without it up to `until`, and after it what followed in its aggregate:
 * a message that was deleted meanwhile would come back else, since its deletion found nothing to delete. Stores take that, as changes may come again. What
 * followed and can't be taken has a letter of its own. Undefined: the log does not have the event. Rejects when log or store can't be reached.
 */
export const retryEvent = async (
  feeds: readonly ProjectionTarget[],
  source: EventSource,
  stores: ViewStores,
  at: Position,
  until: number,
): Promise<RetryOutcome | undefined> => {
  const places = feeds.map(feed => ({ feed, position: 0 }))
  /** Why not, if they are not: the first reason. */
  const apply = async (events: readonly StoredEvent[]): Promise<string | undefined> => {
    const { changes, poison } = projectBatch(events, places)
    if (poison[0] !== undefined && events.length === 1) return poison[0].reason
    try {
      await stores.atomically(() => writeChanges(changes))
      return undefined
    } catch (error) {
      if (error instanceof FeedRejectedError) return error.message
      throw error
    }
  }
  let isFirst = true
  for await (const events of source.sequel(at, until)) {
    const [first] = events
    if (isFirst && first !== undefined) {
      const refusal = projectBatch([first], places).poison[0]?.reason
      if (refusal !== undefined) return { ok: false, reason: refusal }
    }
    // All at once, so that nobody sees the one without the others.
    if ((await apply(events)) !== undefined)
      for (const event of events) {
        const refusal = await apply([event])
        if (refusal !== undefined && event === first && isFirst) return { ok: false, reason: refusal }
      }
    isFirst = false
  }
  return isFirst ? undefined : { ok: true, generations: feeds.map(({ generation }) => generation) }
}
