import type { WorkerStatus } from '../../infra/nats/index.ts'
import type { ProjectionName, StreamStatus, SupervisedStatus } from '../../projections/index.ts'

/** Where a generation of a view stands in one stream; without a worker where nobody feeds it at the moment. */
export interface StreamRow extends StreamStatus {
  readonly worker?: string
}

/** What a worker says of one generation. */
interface Report {
  readonly worker: string
  readonly status: SupervisedStatus
}

/** A view in one database, by the workers that feed it. */
export interface FedView {
  /** Technology of the database. */
  readonly database: string
  readonly reports: readonly Report[]
}

/** A view in each of the databases that hold it: one that workers share is one, those that are a worker's own are one each. */
export const fedViews = (workers: readonly WorkerStatus[], projection: ProjectionName): FedView[] => {
  const views = new Map<string, { database: string; reports: Report[] }>()
  for (const { worker, database, isShared, projections } of workers)
    for (const status of projections) {
      if (status.projection !== projection) continue
      const key = isShared ? database : `${database} ${worker}`
      const view = views.get(key) ?? { database, reports: [] }
      view.reports.push({ worker, status })
      views.set(key, view)
    }
  return [...views.values()]
}

/** Who has a stream: of several that say so, one that is not fenced off, and of those the one that is further. */
export const holderOf = (reports: readonly Report[], stream: string): StreamRow | undefined =>
  reports
    .flatMap(({ worker, status }) =>
      status.streams.filter(one => one.stream === stream).map(one => ({ ...one, worker })),
    )
    .sort(
      (a, b) => Number(a.state === 'stopped') - Number(b.state === 'stopped') || b.position - a.position,
    )[0]
