import type { LiveFeed } from '../../commands/index.ts'
import { Family, type Position } from '../../events/index.ts'
import type { ProjectionName, Views } from '../../projections/index.ts'
import type { ViewChanges } from '../ports/view-changes.ts'

/** Shortest and longest pause between two queries of a view's positions, ms. */
const firstPauseMs = 4
const longestPauseMs = 64

/** A request that waits until a view reaches some positions. */
interface Waiter {
  readonly isReached: (positions: readonly Position[]) => boolean
  /** `performance.now()` at which it waits no longer. */
  readonly until: number
  readonly resolve: (reached: boolean) => void
  readonly reject: (error: unknown) => void
  /** Whether no query has succeeded since it waits. */
  isNew: boolean
}

/** One view whose positions are queried while requests wait for it. */
class PositionWatch {
  waiters: Waiter[] = []
  positions: readonly Position[] = []
  queriedAt = Number.NEGATIVE_INFINITY
  pauseMs = firstPauseMs
  /** Ends the pause. */
  wake: () => void = () => {}
}

const areSame = (some: readonly Position[], others: readonly Position[]): boolean =>
  some.length === others.length &&
  some.every(({ stream, streamSeq }, i) => others[i]?.stream === stream && others[i].streamSeq === streamSeq)

/**
 * Waits for the positions of views. All requests that wait for one view share its queries, one at a time. Where this
 * process feeds the view, each stored batch triggers a query; elsewhere a timer does, with back-off while the view does
 * not advance.
 */
export class ViewPositions {
  readonly #views: Pick<Views, 'positions'>
  readonly #changes: ViewChanges | undefined
  readonly #watches = new Map<ProjectionName, PositionWatch>()

  constructor(views: Pick<Views, 'positions'>, changes?: ViewChanges) {
    this.#views = views
    this.#changes = changes
  }

  /** Whether requests wait for a view. */
  isAwaited(projection: ProjectionName): boolean {
    return this.#watches.has(projection)
  }

  /**
   * Resolves with whether a view reached, within `ms`, positions for which `isReached` returns true. Rejects when the
   * first query fails; later failures are retried.
   */
  reached(
    projection: ProjectionName,
    isReached: (positions: readonly Position[]) => boolean,
    ms: number,
  ): Promise<boolean> {
    const found = this.#watches.get(projection)
    if (found !== undefined && isReached(found.positions)) return Promise.resolve(true)
    return new Promise((resolve, reject) => {
      const waiter = { isReached, until: performance.now() + ms, resolve, reject, isNew: true }
      if (found !== undefined) {
        found.waiters.push(waiter)
        found.wake()
        return
      }
      const watch = new PositionWatch()
      watch.waiters.push(waiter)
      this.#watches.set(projection, watch)
      void this.#run(projection, watch)
    })
  }

  /** Queries the view until no request waits for it. Never rejects. */
  async #run(projection: ProjectionName, watch: PositionWatch): Promise<void> {
    const changes = this.#changes?.covers(projection) === true ? this.#changes : undefined
    for (;;) {
      const version = changes?.version() ?? 0
      watch.queriedAt = performance.now()
      try {
        const positions = await this.#views.positions(projection)
        const isUnchanged = areSame(positions, watch.positions)
        watch.pauseMs = isUnchanged ? Math.min(2 * watch.pauseMs, longestPauseMs) : firstPauseMs
        watch.positions = positions
        this.#settle(watch)
      } catch (error) {
        this.#fail(watch, error)
      }
      if (watch.waiters.length === 0) {
        this.#watches.delete(projection)
        return
      }
      await this.#pause(watch, changes, version)
    }
  }

  #settle(watch: PositionWatch): void {
    const now = performance.now()
    watch.waiters = watch.waiters.filter(waiter => {
      const reached = waiter.isReached(watch.positions)
      waiter.isNew = false
      if (reached || now >= waiter.until) waiter.resolve(reached)
      return !reached && now < waiter.until
    })
  }

  /** A failed query ends the wait of new requests, and of those whose time is over. */
  #fail(watch: PositionWatch, error: unknown): void {
    const now = performance.now()
    watch.waiters = watch.waiters.filter(waiter => {
      if (waiter.isNew) waiter.reject(error)
      else if (now >= waiter.until) waiter.resolve(false)
      return !waiter.isNew && now < waiter.until
    })
  }

  /** Resolves when the next query is due. A new request shortens the pause to the shortest one. */
  #pause(watch: PositionWatch, changes: ViewChanges | undefined, version: number): Promise<void> {
    const now = performance.now()
    const pauseMs = changes === undefined ? watch.pauseMs : longestPauseMs
    const ms = watch.waiters.reduce((least, { until }) => Math.min(least, Math.max(1, until - now)), pauseMs)
    return new Promise(resolve => {
      let timer = setTimeout(resolve, ms)
      const end = (): void => {
        clearTimeout(timer)
        resolve()
      }
      watch.wake = () => {
        clearTimeout(timer)
        timer = setTimeout(end, Math.max(1, watch.queriedAt + firstPauseMs - performance.now()))
      }
      changes?.after(version, ms).then(end, end)
    })
  }
}

const conversations: readonly Family[] = [Family.conversation]
const users: readonly Family[] = [Family.user]

/** The projections whose views a query reads, and the families that feed each of them. */
const Reads = {
  inbox: { inbox: [...conversations, ...users] },
  members: { roster: conversations, 'read-state': users },
  invitations: { roster: conversations },
  search: { search: conversations },
} as const

/** Whether a view that is at `view` has everything up to `target`. */
export const reaches = (view: readonly Position[], target: readonly Position[]): boolean =>
  target.every(({ stream, streamSeq }) => {
    const position = view.find(other => other.stream === stream)
    return streamSeq === 0 || (position !== undefined && position.streamSeq >= streamSeq)
  })

/** Makes queries wait until the views that they read have what the live feed has delivered. */
export class ViewFreshness {
  readonly #positions: ViewPositions
  readonly #feed: LiveFeed

  constructor(positions: ViewPositions, feed: LiveFeed) {
    this.#positions = positions
    this.#feed = feed
  }

  /** Resolves with whether all views of a query reached, within `ms`, what the feed has delivered up to this call. */
  async reached(query: keyof typeof Reads, ms: number): Promise<boolean> {
    const positions = this.#feed.positions()
    const views = Object.entries(Reads[query]) as [ProjectionName, readonly Family[]][]
    const reached = await Promise.all(
      views.map(([projection, families]) => {
        const target = positions.filter(({ family }) => families.includes(family))
        return this.#positions.reached(projection, view => reaches(view, target), ms)
      }),
    )
    return reached.every(Boolean)
  }
}
