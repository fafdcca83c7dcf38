import { askProjectionStatus, type WorkerStatus } from '../../infra/nats/index.ts'
import {
  type Checkpoint,
  type ProjectionName,
  type ProjectionState,
  projectionNames,
  roleOf,
  type StreamStatus,
  type SupervisedStatus,
  worstState,
} from '../../projections/index.ts'
import { CliError } from '../cli-error.ts'
import type { Operation } from './operation.ts'

/** Where a generation of a view stands in one stream; without a worker where nobody feeds it at the moment. */
export interface StreamRow
  extends Pick<
    StreamStatus,
    'stream' | 'position' | 'head' | 'lagEvents' | 'lagMs' | 'state' | 'deadLetters' | 'rate' | 'reason'
  > {
  readonly worker?: string
}

/** A generation of a view, whoever feeds it. */
export interface GenerationRow {
  readonly projection: ProjectionName
  readonly generation: number
  readonly role: SupervisedStatus['role']
  readonly version: number
  readonly state: ProjectionState
  readonly reason?: string
  /** Events of all streams. */
  readonly lagEvents: number
  /** Of the stream that is furthest behind. */
  readonly lagMs: number
  readonly deadLetters: number
  /** Events applied a second, of all streams. */
  readonly rate: number
  readonly workers: readonly string[]
  readonly streams: readonly StreamRow[]
}

interface Reported {
  readonly worker: string
  readonly status: SupervisedStatus
}

const reportsOf = (workers: readonly WorkerStatus[]): Reported[] =>
  workers.flatMap(({ worker, projections }) => projections.map(status => ({ worker, status })))

/** Who has a stream: of several that say so, one that is not fenced off, and of those the one that is further. */
const holderOf = (reports: readonly Reported[], stream: string): StreamRow | undefined =>
  reports
    .flatMap(({ worker, status }) =>
      status.streams.filter(one => one.stream === stream).map(one => ({ ...one, worker })),
    )
    .sort(
      (a, b) => Number(a.state === 'stopped') - Number(b.state === 'stopped') || b.position - a.position,
    )[0]

/**
 * All generations of all views, or of one: by what the workers say, and by plans and databases where none feeds them. Throws CliError where there are none.
 */
export const readOverview = async (operation: Operation, only?: ProjectionName): Promise<GenerationRow[]> => {
  const { nats, plans, source } = operation
  const reports = reportsOf(await askProjectionStatus(nats))
  const ends = await source.streams()
  const rows: GenerationRow[] = []
  for (const projection of only === undefined ? projectionNames : [only]) {
    const plan = await plans.read(projection)
    if (plan === undefined) continue
    let checkpoints: readonly Checkpoint[] | undefined
    for (const { generation, version } of plan.generations) {
      const own = reports.filter(
        ({ status }) => status.projection === projection && status.generation === generation,
      )
      const streams: StreamRow[] = []
      for (const { stream, last } of ends) {
        const held = holderOf(own, stream)
        if (held !== undefined) {
          streams.push(held)
          continue
        }
        // Their workers know where they stand; a database that can't be reached from here leaves those unknown that have none.
        checkpoints ??= await operation.stores(projection).then(
          stores => stores.checkpoints.load(),
          () => [],
        )
        const at = checkpoints.find(
          one => one.projection === projection && one.generation === generation && one.stream === stream,
        )
        const position = at?.streamSeq ?? 0
        const lagEvents = Math.max(0, last - position)
        const state = plan.paused ? 'paused' : 'stopped'
        streams.push({
          stream,
          position,
          head: last,
          lagEvents,
          lagMs: 0,
          state,
          deadLetters: at?.deadLetters ?? 0,
          rate: 0,
        })
      }
      const reason =
        own.map(({ status }) => status.reason).find(Boolean) ?? streams.map(one => one.reason).find(Boolean)
      const failing = own.filter(({ status }) => status.streams.length === 0 && status.state === 'failing')
      rows.push({
        projection,
        generation,
        role: roleOf(plan, generation),
        version,
        state: worstState([
          ...streams.map(({ state }) => state),
          ...failing.map(({ status }) => status.state),
        ]),
        ...(reason === undefined ? {} : { reason }),
        lagEvents: streams.reduce((sum, one) => sum + one.lagEvents, 0),
        lagMs: Math.max(0, ...streams.map(({ lagMs }) => lagMs)),
        deadLetters: streams.reduce((sum, one) => sum + one.deadLetters, 0),
        rate: streams.reduce((sum, one) => sum + one.rate, 0),
        workers: [...new Set(streams.flatMap(({ worker }) => worker ?? []))],
        streams,
      })
    }
  }
  if (rows.length === 0)
    throw new CliError('NOT_READY', 'there are no views yet: nothing has run with the role "projections"')
  return rows
}
