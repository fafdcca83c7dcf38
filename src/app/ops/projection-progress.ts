import type { WorkerStatus } from '../../infra/nats/index.ts'
import { type ProjectionState, worstState } from '../../projections/index.ts'

/** The progress of one generation of a view in one database. */
export interface ProjectionProgress {
  readonly projection: string
  readonly generation: number
  readonly role: string
  readonly database: string
  readonly state: ProjectionState
  /** Events that are applied, of those in the log, of all streams. */
  readonly applied: number
  readonly events: number
  readonly lagEvents: number
  /** Lag of the stream that is furthest behind, ms. */
  readonly lagMs: number
  /** Events applied a second. */
  readonly rate: number
}

type Reported = WorkerStatus['projections'][number]['streams'][number]

/** Returns which of two reports of one stream is current: one that is not stopped, with the highest position. */
const currentOf = (a: Reported | undefined, b: Reported): Reported => {
  if (a === undefined) return b
  const isOther = Number(a.state === 'stopped') - Number(b.state === 'stopped') || b.position - a.position
  return isOther > 0 ? b : a
}

/** Returns one entry for each generation in each database, from the reports of all workers. */
export const progressOf = (workers: readonly WorkerStatus[]): ProjectionProgress[] => {
  const found = new Map<
    string,
    { first: WorkerStatus['projections'][number]; database: string; streams: Map<string, Reported> }
  >()
  for (const { worker, database, isShared, projections } of workers)
    for (const status of projections) {
      const key = `${status.projection} ${status.generation} ${isShared ? database : `${database} ${worker}`}`
      const entry = found.get(key) ?? { first: status, database, streams: new Map<string, Reported>() }
      for (const one of status.streams)
        entry.streams.set(one.stream, currentOf(entry.streams.get(one.stream), one))
      found.set(key, entry)
    }
  return [...found.values()]
    .map(({ first, database, streams }) => {
      const all = [...streams.values()]
      const sum = (of: (one: Reported) => number): number => all.reduce((total, one) => total + of(one), 0)
      const { projection, generation, role, state } = first
      return {
        projection,
        generation,
        role,
        database,
        state: all.length === 0 ? state : worstState(all.map(one => one.state)),
        applied: sum(one => one.position),
        events: sum(one => one.head),
        lagEvents: sum(one => one.lagEvents),
        lagMs: Math.max(0, ...all.map(one => one.lagMs)),
        rate: sum(one => one.rate),
      }
    })
    .sort((a, b) => a.projection.localeCompare(b.projection) || a.generation - b.generation)
}
