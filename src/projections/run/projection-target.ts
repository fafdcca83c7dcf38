import type { StoredEvent } from '../../events/index.ts'
import type { ChangeStore, ViewStores } from '../ports/stores.ts'
import { inboxProjection } from '../views/inbox-projection.ts'
import type { Generations, ProjectedEvent, Projection, ProjectionName } from '../views/projection.ts'
import { readStateProjection } from '../views/read-state-projection.ts'
import { rosterProjection } from '../views/roster-projection.ts'
import { searchProjection } from '../views/search-projection.ts'
import { timelineProjection } from '../views/timeline-projection.ts'

/** An event to project. `event` undefined: this build does not know its type. */
interface PendingEvent {
  readonly stored: StoredEvent
  readonly event: ProjectedEvent['event'] | undefined
}

/** The changes of a batch of events, collected for one store. */
export interface PendingChanges {
  /** Throws on an event that the projection cannot apply. */
  add(projected: PendingEvent): void
  write(): Promise<void>
}

/** A projection together with the store of one generation of its view. */
export interface ProjectionTarget {
  readonly name: ProjectionName
  readonly generation: number
  readonly version: number
  begin(): PendingChanges
  clear(): Promise<void>
}

/** Binds a projection to a store. */
export const feed = <Change>(
  projection: Projection<Change>,
  store: ChangeStore<Change>,
  generation = 1,
): ProjectionTarget => ({
  name: projection.name,
  generation,
  version: projection.version,
  begin() {
    const changes: Change[] = []
    return {
      add({ stored, event }) {
        const made =
          event === undefined
            ? (projection.applyUnknown?.(stored) ?? [])
            : projection.apply({ stored, event })
        for (const change of made) changes.push(change)
      },
      async write() {
        if (changes.length > 0) await store.apply(changes)
      },
    }
  },
  clear: () => store.clear(),
})

/** Returns the version of a projection in this build. */
export const versionOf = (projection: ProjectionName): number =>
  ({
    timeline: timelineProjection,
    inbox: inboxProjection,
    'read-state': readStateProjection,
    roster: rosterProjection,
    search: searchProjection,
  })[projection].version

/** Opens a projection's target in these stores; creates the generation when it does not exist. */
export const openFeed = async (
  stores: ViewStores,
  projection: ProjectionName,
  generation = 1,
): Promise<ProjectionTarget> => {
  switch (projection) {
    case 'timeline':
      return feed(timelineProjection, await stores.open(projection, generation), generation)
    case 'inbox':
      return feed(inboxProjection, await stores.open(projection, generation), generation)
    case 'read-state':
      return feed(readStateProjection, await stores.open(projection, generation), generation)
    case 'roster':
      return feed(rosterProjection, await stores.open(projection, generation), generation)
    case 'search':
      return feed(searchProjection, await stores.open(projection, generation), generation)
  }
}

/** Opens the targets of all projections that these stores can hold, each at its generation. */
export const openFeeds = async (
  stores: ViewStores,
  generations: Generations = {},
): Promise<ProjectionTarget[]> => {
  const feeds: ProjectionTarget[] = []
  for (const projection of stores.projections)
    feeds.push(await openFeed(stores, projection, generations[projection]))
  return feeds
}
