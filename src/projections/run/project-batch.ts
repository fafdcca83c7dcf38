import { type ConversationEvent, decodeBody, type StoredEvent, type UserEvent } from '../../events/index.ts'
import { ChangeRejectedError } from '../ports/stores.ts'
import type { FeedAt } from './group-by-position.ts'
import type { PendingChanges, ProjectionTarget } from './projection-target.ts'

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

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

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
    let event: ConversationEvent | UserEvent | undefined
    let malformed: string | undefined
    for (const { feed, position } of feeds) {
      if (stored.streamSeq <= position) continue
      const refusal = rejected.get(feed)
      if (refusal !== undefined) {
        poison.push({ feed, event: stored, reason: refusal })
        continue
      }
      try {
        if (malformed === undefined) event ??= decodeBody(stored)
      } catch (error) {
        malformed = reasonOf(error)
      }
      if (event === undefined) {
        poison.push({ feed, event: stored, reason: malformed ?? '' })
        continue
      }
      try {
        changes.get(feed)?.add({ stored, event })
      } catch (error) {
        poison.push({ feed, event: stored, reason: reasonOf(error) })
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
