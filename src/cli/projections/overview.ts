import { operatorText } from '../../events/index.ts'
import { askProjectionStatus, type WorkerStatus } from '../../infra/nats/index.ts'
import {
  type Checkpoint,
  type ProjectionName,
  type ProjectionPlan,
  type ProjectionState,
  projectionNames,
  roleOf,
  type StreamBounds,
  type StreamStatus,
  type SupervisedStatus,
  worstState,
} from '../../projections/index.ts'
import { CliError } from '../command/cli-error.ts'
import type { Operation } from './projection-command.ts'

/** State of a generation in one stream. No worker: none feeds it at the moment. */
export interface StreamRow extends StreamStatus {
  readonly worker?: string
}

/** Status of one generation, reported by a worker. */
interface Report {
  readonly worker: string
  readonly status: SupervisedStatus
}

/** One view in one database, with the reports of its workers. */
export interface FedView {
  /** Technology of the database. */
  readonly database: string
  readonly reports: readonly Report[]
}

/** Returns one entry for each database that holds a view. Workers may share a database or have one each. */
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

/** Returns the worker that holds a stream. If several report it: one that is not stopped, with the highest position. */
export const holderOf = (reports: readonly Report[], stream: string): StreamRow | undefined =>
  reports
    .flatMap(({ worker, status }) =>
      status.streams.filter(one => one.stream === stream).map(one => ({ ...one, worker })),
    )
    .sort(
      (a, b) => Number(a.state === 'stopped') - Number(b.state === 'stopped') || b.position - a.position,
    )[0]

/** One generation of a view in one database. */
export interface GenerationRow {
  readonly projection: ProjectionName
  readonly generation: number
  readonly role: SupervisedStatus['role']
  readonly version: number
  /** Technology of the database. */
  readonly database: string
  readonly state: ProjectionState
  readonly reason?: string
  /** Events of all streams. */
  readonly lagEvents: number
  /** Lag of the stream that is furthest behind, ms. */
  readonly lagMs: number
  readonly deadLetters: number
  /** Events applied a second, of all streams. */
  readonly rate: number
  readonly workers: readonly string[]
  readonly streams: readonly StreamRow[]
}

/** Checkpoints of a view in the configured database, or the reason why the command cannot read them. */
interface StoredCheckpoints {
  readonly database: string
  readonly checkpoints: readonly Checkpoint[]
  readonly reason?: string
}

const sum = (numbers: readonly number[]): number => numbers.reduce((all, one) => all + one, 0)

const readCheckpoints = async (
  operation: Operation,
  projection: ProjectionName,
): Promise<StoredCheckpoints> => {
  try {
    const stores = await operation.stores(projection)
    const checkpoints = await stores.checkpoints.load()
    return { database: stores.name, checkpoints: checkpoints.filter(one => one.projection === projection) }
  } catch (error) {
    const reason = `its position is unknown: ${operatorText(error)}`
    return { database: '–', checkpoints: [], reason }
  }
}

/** Returns the state of a stream that no worker feeds into a generation. */
const unfedStream = (
  { checkpoints }: StoredCheckpoints,
  { paused }: ProjectionPlan,
  generation: number,
  { stream, last, missing }: StreamBounds,
): StreamRow => {
  const at = checkpoints.find(one => one.generation === generation && one.stream === stream)
  const position = at?.streamSeq ?? 0
  return {
    stream,
    position,
    head: last,
    lagEvents: Math.max(0, last - position),
    aheadEvents: Math.max(0, position - last),
    missingEvents: missing,
    lagMs: 0,
    state: paused ? 'paused' : 'stopped',
    deadLetters: at?.deadLetters ?? 0,
    rate: 0,
  }
}

/**
 * Returns all generations of all views, or of one view: from the reports of the workers, and from plans and databases
 * for those without a worker. Throws CliError when there are no views.
 */
export const readOverview = async (operation: Operation, only?: ProjectionName): Promise<GenerationRow[]> => {
  const { nats, plans, source } = operation
  const workers = await askProjectionStatus(nats)
  const ends = await source.streams()
  const rows: GenerationRow[] = []
  for (const projection of only === undefined ? projectionNames : [only]) {
    const plan = await plans.read(projection)
    if (plan === undefined) continue
    let stored: StoredCheckpoints | undefined
    const rowOf = async (generation: number, version: number, view?: FedView): Promise<GenerationRow> => {
      const reports = view?.reports.filter(({ status }) => status.generation === generation) ?? []
      const streams: StreamRow[] = []
      for (const end of ends) {
        const row = holderOf(reports, end.stream)
        if (row === undefined) stored ??= await readCheckpoints(operation, projection)
        streams.push(row ?? unfedStream(stored as StoredCheckpoints, plan, generation, end))
      }
      // Its worker cannot open the database.
      const closed = reports.filter(({ status }) => status.streams.length === 0 && status.state === 'failing')
      const reasons = [
        ...reports.map(({ status }) => status.reason),
        ...streams.map(one => one.reason),
        stored?.reason,
      ]
      const reason = reasons.find(one => one !== undefined)
      return {
        projection,
        generation,
        role: roleOf(plan, generation),
        version,
        database: view?.database ?? stored?.database ?? '–',
        state: closed.length > 0 ? 'failing' : worstState(streams.map(({ state }) => state)),
        ...(reason === undefined ? {} : { reason }),
        lagEvents: sum(streams.map(({ lagEvents }) => lagEvents)),
        lagMs: Math.max(0, ...streams.map(({ lagMs }) => lagMs)),
        deadLetters: sum(streams.map(({ deadLetters }) => deadLetters)),
        rate: sum(streams.map(({ rate }) => rate)),
        workers: [...new Set(streams.flatMap(({ worker }) => worker ?? []))],
        streams,
      }
    }
    const views = fedViews(workers, projection)
    for (const { generation, version } of plan.generations)
      for (const view of views.length > 0 ? views : [undefined])
        rows.push(await rowOf(generation, version, view))
  }
  if (rows.length === 0)
    throw new CliError('NOT_READY', 'there are no views yet: start a server with the role "projections"')
  return rows
}
