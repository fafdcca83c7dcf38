import { setTimeout as sleep } from 'node:timers/promises'
import type { EventSource, ProjectionRunner, RunnerLog } from '../../src/projections/index.ts'

export const quiet: RunnerLog = { info() {}, warn() {}, error() {} }

/** Waits until every projection that is not paused is at the end of every stream. */
export const untilLevel = async (runner: ProjectionRunner, source: EventSource): Promise<void> => {
  const ends = new Map((await source.streams()).map(({ stream, last }) => [stream, last]))
  const behind = () =>
    runner
      .status()
      .filter(({ state }) => state !== 'paused')
      .some(({ streams }) => streams.some(({ stream, position }) => position < (ends.get(stream) ?? 0)))
  while (behind()) await sleep(1)
}

/** Starts a runner, waits until it is at the end of every stream, and stops it. */
export const runToEnd = async (runner: ProjectionRunner, source: EventSource): Promise<void> => {
  await runner.start()
  await untilLevel(runner, source)
  await runner.stop()
}
