import { type ConversationEvent, decodeBody, type StoredEvent, type UserEvent } from '../../events/index.ts'
import { ChangeRejectedError } from '../ports/stores.ts'
import type { FeedAt } from './group-by-position.ts'
import type { PendingChanges, ProjectionTarget } from './projection-target.ts'

/** An event that a projection can't take. */
export interface Poison {
  readonly feed: ProjectionTarget
  readonly event: StoredEvent
  readonly reason: string
}

export interface Projected {
  readonly changes: ReadonlyMap<ProjectionTarget, PendingChanges>
  readonly poison: readonly Poison[]
}

/** A store refused a change of this feed. */
export class FeedRejectedError extends Error {
  readonly feed: ProjectionTarget

  constructor(feed: ProjectionTarget, cause: ChangeRejectedError) {
    super(cause.message, { cause })
    this.feed = feed
  }
}

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/**
 * Decodes each event once and lets every projection that has not applied it say what it changes. Does no I/O. What a projection was refused before
 * (`rejected`) is poison to it.
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

/** Writes the changes, projection by projection. Rejects with FeedRejectedError when a store will never take one of them. */
export const writeChanges = async (changes: ReadonlyMap<ProjectionTarget, PendingChanges>): Promise<void> => {
  for (const [feed, pending] of changes) {
    try {
      await pending.write()
    } catch (error) {
      throw ChangeRejectedError.is(error) ? new FeedRejectedError(feed, error) : error
    }
  }
}
