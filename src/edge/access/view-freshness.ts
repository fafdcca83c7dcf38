import type { LiveFeed } from '../../commands/index.ts'
import { Family, type Position } from '../../events/index.ts'
import type { ProjectionName, Views } from '../../projections/index.ts'

interface Waiter {
  readonly target: readonly Position[]
  readonly until: number
  readonly done: (reached: boolean) => void
}

const pollMs = 4

/** The streams of these families, at least. */
const familiesOf = (families: readonly Family[], positions: readonly Position[]): Position[] =>
  positions.filter(({ stream }) => families.some(family => stream.startsWith(`${family.toUpperCase()}_`)))

export const reaches = (view: readonly Position[], target: readonly Position[]): boolean =>
  target.every(({ stream, streamSeq }) => {
    const position = view.find(other => other.stream === stream)
    return streamSeq === 0 || (position !== undefined && position.streamSeq >= streamSeq)
  })

const conversations: readonly Family[] = [Family.conversation]
const users: readonly Family[] = [Family.user]

/** The projections whose views a query reads, and the families that feed each. */
const Reads = {
  inbox: { inbox: [...conversations, ...users] },
  members: { roster: conversations, 'read-state': users },
  search: { search: conversations },
} as const

/** Waits for views to reach what the live feed has delivered. All who wait for one view share one look at its position. */
export class ViewFreshness {
  readonly #views: Views
  readonly #feed: LiveFeed
  readonly #waiters = new Map<ProjectionName, Waiter[]>()

  constructor(views: Views, feed: LiveFeed) {
    this.#views = views
    this.#feed = feed
  }

  /** Whether all views that a query reads came to hold, within `ms`, what the feed had delivered when this was called. */
  async reached(query: keyof typeof Reads, ms: number): Promise<boolean> {
    const views = Object.entries(Reads[query]) as [ProjectionName, readonly Family[]][]
    const reached = await Promise.all(views.map(([name, families]) => this.#reached(name, families, ms)))
    return reached.every(Boolean)
  }

  async #reached(projection: ProjectionName, families: readonly Family[], ms: number): Promise<boolean> {
    const target = familiesOf(families, this.#feed.positions())
    if (reaches(await this.#views.positions(projection), target)) return true
    return await new Promise(done => {
      const waiter = { target, until: performance.now() + ms, done }
      const waiting = this.#waiters.get(projection)
      if (waiting !== undefined) {
        waiting.push(waiter)
        return
      }
      this.#waiters.set(projection, [waiter])
      setTimeout(() => void this.#poll(projection), pollMs)
    })
  }

  async #poll(projection: ProjectionName): Promise<void> {
    const positions = await this.#views.positions(projection).catch(() => [])
    const now = performance.now()
    const waiting: Waiter[] = []
    for (const waiter of this.#waiters.get(projection) ?? []) {
      const reached = reaches(positions, waiter.target)
      if (reached || now >= waiter.until) waiter.done(reached)
      else waiting.push(waiter)
    }
    if (waiting.length === 0) {
      this.#waiters.delete(projection)
      return
    }
    this.#waiters.set(projection, waiting)
    setTimeout(() => void this.#poll(projection), pollMs)
  }
}
