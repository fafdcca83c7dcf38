import type { Position, StoredEvent } from '../../events/index.ts'
import type { EventSource } from '../ports/event-source.ts'
import type { ViewStores } from '../ports/stores.ts'
import type { ProjectionName } from '../views/projection.ts'
import { FeedRejectedError, projectBatch, writeChanges } from './batches.ts'
import type { ProjectionTarget } from './projection-target.ts'

/** A request to apply a dead letter again. */
export interface RetryRequest extends Position {
  readonly projection: ProjectionName
}

/** The outcome: the generations that have now applied the event, or the reason of the first failure. */
export type RetryOutcome =
  | { readonly ok: true; readonly generations: readonly number[] }
  | { readonly ok: false; readonly reason: string }

/**
 * Applies a dead letter to generations that are past it (up to `until`), and then the later events of its aggregate:
 * without them a message deleted meanwhile would reappear. Repeated changes are harmless. A later event that cannot
 * be applied has a dead letter of its own. Returns undefined when the log no longer has the event. Rejects when the
 * log or the store cannot be reached.
 */
export const retryEvent = async (
  feeds: readonly ProjectionTarget[],
  source: EventSource,
  stores: ViewStores,
  at: Position,
  until: number,
): Promise<RetryOutcome | undefined> => {
  const places = feeds.map(feed => ({ feed, position: 0 }))
  /** Applies events; returns the first reason for a failure. */
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
    // One transaction, so readers never see the event without its successors.
    if ((await apply(events)) !== undefined)
      for (const event of events) {
        const refusal = await apply([event])
        if (refusal !== undefined && event === first && isFirst) return { ok: false, reason: refusal }
      }
    isFirst = false
  }
  return isFirst ? undefined : { ok: true, generations: feeds.map(({ generation }) => generation) }
}
