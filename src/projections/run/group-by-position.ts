import type { ProjectionTarget } from './projection-target.ts'

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
