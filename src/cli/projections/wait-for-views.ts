import { setTimeout as sleep } from 'node:timers/promises'
import { askProjectionStatus } from '../../infra/nats/index.ts'
import { type ProjectionName, setPaused, type ViewStores } from '../../projections/index.ts'
import { CliError } from '../command/cli-error.ts'
import { changePlan, type Operation, planOf } from './projection-command.ts'

const lookEveryMs = 100
/** For how long checkpoints have to stay the same, ms: a batch that was at hand is stored by then. */
const stillMs = 400
/** How long generations go on between two attempts to catch them at the same positions, ms. */
const goOnMs = 500
const attempts = 30

export interface Standstill {
  /** Whether nothing has been written since. */
  isStill(): Promise<boolean>
}

/** Where two generations stand, stream by stream; undefined where they do not stand at the same. */
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

/** Whether every worker that feeds the view has let it be; also where there is none. */
const arePaused = async ({ nats }: Operation, projection: ProjectionName): Promise<boolean> => {
  const workers = await askProjectionStatus(nats)
  return workers
    .flatMap(({ projections }) => projections)
    .filter(one => one.projection === projection && one.streams.length > 0)
    .every(({ state }) => state === 'paused' || state === 'stopped')
}

/**
 * Pauses a view once two of its generations stand at the same positions, runs `work`, and has the view go on, whatever came of it; one that was paused before stays
 * so. Throws CliError NOT_LEVEL where they do not come to the same positions.
 */
export const standStill = async <T>(
  operation: Operation,
  projection: ProjectionName,
  generations: readonly [number, number],
  signal: AbortSignal,
  work: (standstill: Standstill) => Promise<T>,
): Promise<T> => {
  const stores = await operation.stores(projection)
  const wasPaused = (await planOf(operation, projection)).paused
  const setTo = (paused: boolean) => changePlan(operation, projection, plan => setPaused(plan, paused))
  const positions = () => commonPositions(stores, projection, generations)
  const checkSignal = (): void => {
    if (signal.aborted) throw new CliError('INTERRUPTED', 'the comparison is not complete')
  }
  try {
    for (let attempt = 0; attempt < (wasPaused ? 1 : attempts); attempt++) {
      await setTo(true)
      do {
        checkSignal()
        await sleep(lookEveryMs)
      } while (!(await arePaused(operation, projection)))
      const before = await positions()
      if (before !== undefined) {
        await sleep(stillMs)
        checkSignal()
        const isStill = async () => (await positions()) === before
        if (await isStill()) return await work({ isStill })
      }
      if (!wasPaused) await setTo(false)
      await sleep(goOnMs)
      checkSignal()
    }
  } finally {
    if (!wasPaused) await setTo(false)
  }
  throw new CliError(
    'NOT_LEVEL',
    `generations ${generations.join(' and ')} of ${projection} do not come to the same positions${wasPaused ? ' while it is paused: resume it first' : ''}`,
  )
}
