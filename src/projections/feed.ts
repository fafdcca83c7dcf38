import { inboxProjection } from './inbox-projection.ts'
import type { ProjectedEvent, Projection, ProjectionName } from './projection.ts'
import { readStateProjection } from './read-state-projection.ts'
import { rosterProjection } from './roster-projection.ts'
import { searchProjection } from './search-projection.ts'
import type { ChangeStore, ViewStores } from './stores.ts'
import { timelineProjection } from './timeline-projection.ts'

/** The changes of a batch of events, gathered for one store. */
export interface PendingChanges {
  /** Throws on an event that the projection can't take. */
  add(projected: ProjectedEvent): void
  write(): Promise<void>
}

/** A projection with the store that takes its changes. */
export interface Feed {
  readonly name: ProjectionName
  readonly version: number
  begin(): PendingChanges
  clear(): Promise<void>
}

/** Binds a projection to its store. */
export const feed = <Change>(projection: Projection<Change>, store: ChangeStore<Change>): Feed => ({
  name: projection.name,
  version: projection.version,
  begin() {
    const changes: Change[] = []
    return {
      add(projected) {
        for (const change of projection.apply(projected)) changes.push(change)
      },
      async write() {
        if (changes.length > 0) await store.apply(changes)
      },
    }
  },
  clear: () => store.clear(),
})

/** All projections, each with its store. */
export const feedsOf = (stores: ViewStores): Feed[] => [
  feed(timelineProjection, stores.timeline),
  feed(inboxProjection, stores.inbox),
  feed(readStateProjection, stores.readState),
  feed(rosterProjection, stores.roster),
  feed(searchProjection, stores.search),
]
