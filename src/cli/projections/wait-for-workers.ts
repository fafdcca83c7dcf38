import { setTimeout as sleep } from 'node:timers/promises'
import { askProjectionStatus } from '../../infra/nats/index.ts'
import { type ProjectionName, setPaused, type ViewStores } from '../../projections/index.ts'
import { CliError } from '../command/cli-error.ts'
import { changePlan, type Operation, planOf } from './projection-command.ts'

/**
 * Time that a command waits for workers to carry out a changed plan, ms. The plan holds even without a confirmation.
 */
const confirmTimeoutMs = 10_000
const pollMs = 100

/** `none`: no worker feeds the view. `late`: some workers have not confirmed the plan in time. */
export type Confirmation = 'done' | 'none' | 'late'

/** Text for the operator about a plan that is not confirmed. */
export const unconfirmedText = {
  none: 'no worker runs, the change takes effect when one starts',
  late: 'not all workers have confirmed it yet',
}

/** Waits until the states of all workers that feed a view satisfy `isDone`. */
export const waitForWorkers = async (
  { nats }: Operation,
  projection: ProjectionName,
  isDone: (states: readonly { generation: number; state: string }[]) => boolean,
): Promise<Confirmation> => {
  const deadline = performance.now() + confirmTimeoutMs
  for (; performance.now() < deadline; await sleep(pollMs)) {
    const workers = await askProjectionStatus(nats)
    const states = workers
      .flatMap(({ projections }) => projections)
      .filter(one => one.projection === projection)
    if (states.length === 0) return 'none'
    if (isDone(states.filter(({ streams }) => streams.length > 0))) return 'done'
  }
  return 'late'
}

/** Time for which checkpoints must not change, ms: workers store a batch under way within it. */
const unchangedMs = 400
/** Time that the view runs between two attempts to stop its generations at the same positions, ms. */
const runMs = 500
const attempts = 30

export interface Standstill {
  /** Whether nothing was written since the standstill began. */
  isStill(): Promise<boolean>
}

/** Returns the positions of two generations, stream by stream. Undefined: their positions differ. */
const commonPositions = async (
  stores: ViewStores,
  projection: ProjectionName,
  generations: readonly [number, number],
): Promise<string | undefined> => {
  const checkpoints = (await stores.checkpoints.load()).filter(one => one.projection === projection)
  const [a, b] = generations.map(generation =>
    checkpoints
      .filter(one => one.generation === generation && one.streamSeq > 0)
      .map(({ stream, streamSeq }) => `${stream} ${streamSeq}`)
      .sort()
      .join(', '),
  )
  return a === b ? a : undefined
}

/** Whether all workers that feed the view have paused it; true without workers. */
const arePaused = async ({ nats }: Operation, projection: ProjectionName): Promise<boolean> => {
  const workers = await askProjectionStatus(nats)
  return workers
    .flatMap(({ projections }) => projections)
    .filter(one => one.projection === projection && one.streams.length > 0)
    .every(({ state }) => state === 'paused' || state === 'stopped')
}

/**
 * Pauses a view when two of its generations are at the same positions, runs `work`, and resumes the view in any case. A
 * view that was paused before stays paused. Throws CliError NOT_LEVEL when the positions stay different.
 */
export const whileStill = async <T>(
  operation: Operation,
  projection: ProjectionName,
  generations: readonly [number, number],
  signal: AbortSignal,
  work: (standstill: Standstill) => Promise<T>,
): Promise<T> => {
  const stores = await operation.stores(projection)
  const wasPaused = (await planOf(operation, projection)).paused
  const pause = (isPaused: boolean) => changePlan(operation, projection, plan => setPaused(plan, isPaused))
  const positions = () => commonPositions(stores, projection, generations)
  const checkSignal = (): void => {
    if (signal.aborted) throw new CliError('INTERRUPTED', 'stopped before the end of the comparison')
  }
  try {
    for (let attempt = 0; attempt < (wasPaused ? 1 : attempts); attempt++) {
      await pause(true)
      do {
        checkSignal()
        await sleep(pollMs)
      } while (!(await arePaused(operation, projection)))
      const before = await positions()
      if (before !== undefined) {
        await sleep(unchangedMs)
        checkSignal()
        const isStill = async () => (await positions()) === before
        if (await isStill()) return await work({ isStill })
      }
      if (!wasPaused) await pause(false)
      await sleep(runMs)
      checkSignal()
    }
  } finally {
    if (!wasPaused) await pause(false)
  }
  throw new CliError(
    'NOT_LEVEL',
    `generations ${generations.join(' and ')} of ${projection} do not reach the same positions${wasPaused ? ' while it is paused: resume it first' : ': try again'}`,
  )
}
