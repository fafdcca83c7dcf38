import { askProjectionStatus } from '../../infra/nats/index.ts'
import {
  type Checkpoint,
  type ProjectionName,
  type ProjectionPlan,
  type ProjectionState,
  projectionNames,
  roleOf,
  type SupervisedStatus,
  worstState,
} from '../../projections/index.ts'
import { CliError } from '../command/cli-error.ts'
import { type FedView, fedViews, holderOf, type StreamRow } from './fed-views.ts'
import type { Operation } from './projection-command.ts'

/** A generation of a view in one database, whoever feeds it. */
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
  /** Of the stream that is furthest behind, ms. */
  readonly lagMs: number
  readonly deadLetters: number
  /** Events applied a second, of all streams. */
  readonly rate: number
  readonly workers: readonly string[]
  readonly streams: readonly StreamRow[]
}

/** A view's checkpoints in the database that this command's configuration names, or why they can't be read. */
interface Stored {
  readonly database: string
  readonly checkpoints: readonly Checkpoint[]
  readonly reason?: string
}

const sum = (numbers: readonly number[]): number => numbers.reduce((all, one) => all + one, 0)

const readStored = async (operation: Operation, projection: ProjectionName): Promise<Stored> => {
  try {
    const stores = await operation.stores(projection)
    const checkpoints = await stores.checkpoints.load()
    return { database: stores.name, checkpoints: checkpoints.filter(one => one.projection === projection) }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return { database: '–', checkpoints: [], reason: `how far it has come is not known: ${reason}` }
  }
}

/** A stream that nobody feeds into a generation at the moment. */
const unfedStream = (
  { checkpoints }: Stored,
  { paused }: ProjectionPlan,
  generation: number,
  { stream, last }: { stream: string; last: number },
): StreamRow => {
  const at = checkpoints.find(one => one.generation === generation && one.stream === stream)
  const position = at?.streamSeq ?? 0
  return {
    stream,
    position,
    head: last,
    lagEvents: Math.max(0, last - position),
    lagMs: 0,
    state: paused ? 'paused' : 'stopped',
    deadLetters: at?.deadLetters ?? 0,
    rate: 0,
  }
}

/**
 * All generations of all views, or of one: by what the workers say, and by plans and databases where none feeds them. Throws CliError where there are none.
 */
export const readOverview = async (operation: Operation, only?: ProjectionName): Promise<GenerationRow[]> => {
  const { nats, plans, source } = operation
  const workers = await askProjectionStatus(nats)
  const ends = await source.streams()
  const rows: GenerationRow[] = []
  for (const projection of only === undefined ? projectionNames : [only]) {
    const plan = await plans.read(projection)
    if (plan === undefined) continue
    let stored: Stored | undefined
    const rowOf = async (generation: number, version: number, view?: FedView): Promise<GenerationRow> => {
      const own = view?.reports.filter(({ status }) => status.generation === generation) ?? []
      const streams: StreamRow[] = []
      for (const end of ends) {
        const held = holderOf(own, end.stream)
        if (held === undefined) stored ??= await readStored(operation, projection)
        streams.push(held ?? unfedStream(stored as Stored, plan, generation, end))
      }
      // Of a database that its worker can't open.
      const closed = own.filter(({ status }) => status.streams.length === 0 && status.state === 'failing')
      const reasons = [
        ...own.map(({ status }) => status.reason),
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
    throw new CliError('NOT_READY', 'there are no views yet: nothing has run with the role "projections"')
  return rows
}
