import { setTimeout as sleep } from 'node:timers/promises'
import {
  type ConversationEvent,
  decodeBody,
  hasEventFields,
  isMarker,
  operatorText,
  type StoredEvent,
  UnreadableEventError,
  type UserEvent,
} from '../../events/index.ts'
import { ChangeRejectedError } from '../ports/stores.ts'
import type { PendingChanges, ProjectionTarget } from './projection-target.ts'

/** A projection target with its position in a stream. */
export interface FeedAt {
  readonly feed: ProjectionTarget
  /** Events up to and including this sequence are applied. */
  readonly position: number
}

/**
 * Groups the targets that read a stream together: neighbours at most `gap` events apart. A target that is far behind
 * (paused, or being rebuilt) catches up alone and delays no other. The furthest behind comes first.
 */
export const groupByPosition = (places: readonly FeedAt[], gap: number): FeedAt[][] => {
  const groups: FeedAt[][] = []
  let last: FeedAt | undefined
  for (const place of places.toSorted((a, b) => a.position - b.position)) {
    if (last !== undefined && place.position - last.position <= gap) groups.at(-1)?.push(place)
    else groups.push([place])
    last = place
  }
  return groups
}

/** How long a batch that is not full waits for more events, ms. */
const moreWaitMs = 2

/**
 * Pause after a batch that was not full, ms. Messages update the same few pages and words repeatedly, and one commit
 * writes each of them once: at 10,000 messages/s in 50 conversations the pause saves a third of the cost per message.
 */
const pauseMs = 25

/**
 * Combines small batches of a source into batches of about `most` events: writing many events at once costs a store
 * little more than writing a few. Fetches the next batch while one is being processed. An empty batch (the end of the
 * stream) is passed on without delay. The source must end by itself when the consumer stops.
 */
export async function* gatherBatches<T>(
  source: AsyncIterable<readonly T[]>,
  most: number,
): AsyncGenerator<readonly T[], void> {
  const iterator = source[Symbol.asyncIterator]()
  const take = () => {
    const taken = iterator.next()
    // The rejection is thrown at the await; without a consumer it must not become an unhandled rejection.
    taken.catch(() => {})
    return taken
  }
  let next = take()
  for (;;) {
    const { done, value } = await next
    if (done) return
    next = take()
    let batch = value
    while (batch.length > 0 && batch.length < most) {
      const more = await Promise.race([next, sleep(moreWaitMs)])
      if (more === undefined || more.done || more.value.length === 0) break
      batch = batch.concat(more.value)
      next = take()
    }
    // Let the loop send the next request to the log first: a synchronous store then blocks the loop until its commit.
    if (batch.length >= most) await sleep(1)
    yield batch
    if (batch.length > 0 && batch.length < most) await sleep(pauseMs)
  }
}

/** An event that a projection cannot apply. */
export interface Poison {
  readonly feed: ProjectionTarget
  readonly event: StoredEvent
  readonly reason: string
}

export interface Projected {
  readonly changes: ReadonlyMap<ProjectionTarget, PendingChanges>
  readonly poison: readonly Poison[]
}

/** Thrown when a store rejected a change of this target. */
export class FeedRejectedError extends Error {
  readonly feed: ProjectionTarget

  constructor(feed: ProjectionTarget, cause: ChangeRejectedError) {
    super(cause.message, { cause })
    this.feed = feed
  }
}

/** Whether a later version wrote a well-formed event of a type that this build does not know. */
const isOfUnknownType = (error: unknown, stored: StoredEvent): boolean =>
  UnreadableEventError.is(error) &&
  error.code === 'unknown-type' &&
  stored.envelope.type !== '' &&
  (stored.aggregate.family !== 'conv' || hasEventFields(stored))

/**
 * Decodes each event once and collects the changes of every projection that has not applied it yet. No I/O. An event
 * that a store rejected before (`rejected`) is poison to its projection.
 */
export const projectBatch = (
  events: readonly StoredEvent[],
  feeds: readonly FeedAt[],
  rejected: ReadonlyMap<ProjectionTarget, string> = new Map(),
): Projected => {
  const changes = new Map(feeds.map(({ feed }) => [feed, feed.begin()]))
  const poison: Poison[] = []
  for (const stored of events) {
    if (isMarker(stored)) continue
    let event: ConversationEvent | UserEvent | undefined
    let isUnknown = false
    let malformed: string | undefined
    for (const { feed, position } of feeds) {
      if (stored.streamSeq <= position) continue
      const refusal = rejected.get(feed)
      if (refusal !== undefined) {
        poison.push({ feed, event: stored, reason: refusal })
        continue
      }
      try {
        if (malformed === undefined && !isUnknown) event ??= decodeBody(stored)
      } catch (error) {
        isUnknown = isOfUnknownType(error, stored)
        if (!isUnknown) malformed = operatorText(error)
      }
      if (event === undefined && !isUnknown) {
        poison.push({ feed, event: stored, reason: malformed ?? '' })
        continue
      }
      try {
        changes.get(feed)?.add({ stored, event })
      } catch (error) {
        poison.push({ feed, event: stored, reason: operatorText(error) })
      }
    }
  }
  return { changes, poison }
}

/**
 * Writes the changes, projection by projection. Rejects with FeedRejectedError when a store can never apply one of
 * them.
 */
export const writeChanges = async (changes: ReadonlyMap<ProjectionTarget, PendingChanges>): Promise<void> => {
  for (const [feed, pending] of changes) {
    try {
      await pending.write()
    } catch (error) {
      throw ChangeRejectedError.is(error) ? new FeedRejectedError(feed, error) : error
    }
  }
}
