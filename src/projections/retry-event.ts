import type { Position, StoredEvent } from '../events/index.ts'
import type { EventSource } from './event-source.ts'
import type { Feed } from './feed.ts'
import { FeedRejectedError, projectBatch, writeChanges } from './project-batch.ts'
import type { ProjectionName } from './projection.ts'
import type { ViewStores } from './stores.ts'

/** A dead letter that is to be tried again. */
export interface RetryRequest extends Position {
  readonly projection: ProjectionName
}

/** What came of it: the generations that have taken the event now, or why one has not. */
export type RetryOutcome =
  | { readonly ok: true; readonly generations: readonly number[] }
  | { readonly ok: false; readonly reason: string }

/** The event at a position; undefined when the log does not have it. */
export const eventAt = async (
  source: EventSource,
  { stream, streamSeq }: Position,
): Promise<StoredEvent | undefined> => {
  for await (const events of source.range(stream, streamSeq - 1, streamSeq))
    for (const event of events) if (event.streamSeq === streamSeq) return event
  return undefined
}

/**
 * Applies an event that a projection could not take once more, to generations that have gone on without it. Events that came after it have been applied by now: stores
 * take that, as a change that is older than what stands under its key changes nothing. Rejects when the store can't be reached.
 */
export const retryEvent = async (
  feeds: readonly Feed[],
  event: StoredEvent,
  stores: ViewStores,
): Promise<RetryOutcome> => {
  const { changes, poison } = projectBatch(
    [event],
    feeds.map(feed => ({ feed, position: 0 })),
  )
  const [refused] = poison
  if (refused !== undefined) return { ok: false, reason: refused.reason }
  try {
    await stores.atomically(() => writeChanges(changes))
  } catch (error) {
    if (error instanceof FeedRejectedError) return { ok: false, reason: error.message }
    throw error
  }
  return { ok: true, generations: feeds.map(({ generation }) => generation) }
}
