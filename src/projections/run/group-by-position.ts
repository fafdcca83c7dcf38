import type { ProjectionTarget } from './projection-target.ts'

/** A projection with its place in a stream. */
export interface FeedAt {
  readonly feed: ProjectionTarget
  /** Events up to and with this sequence are applied. */
  readonly position: number
}

/**
 * Who reads a stream together: those whose places are at most `gap` events apart, one after the other. One that is far behind, as it was paused or is built
 * anew, catches up by itself and holds up nobody. The furthest behind come first.
 */
export const groupByPosition = (places: readonly FeedAt[], gap: number): FeedAt[][] => {
  const groupByPosition: FeedAt[][] = []
  let last: FeedAt | undefined
  for (const place of places.toSorted((a, b) => a.position - b.position)) {
    if (last !== undefined && place.position - last.position <= gap) groupByPosition.at(-1)?.push(place)
    else groupByPosition.push([place])
    last = place
  }
  return groupByPosition
}
