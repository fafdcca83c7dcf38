import { setTimeout as sleep } from 'node:timers/promises'
import { projectionNames } from '../../src/projections/index.ts'
import type { ConfabProcess } from './confab-process.ts'

/** Longer than a worker takes to notice a stream's end (1 s) and an index to show its changes (0.5 s). */
const settledMs = 2_000
const pollMs = 100

/**
 * Whether these processes report that each view is fed and none lags. A view without an open database is not
 * reported.
 */
const areLevel = async (confabs: readonly ConfabProcess[]): Promise<boolean> => {
  const lags: (readonly [projection: string, lag: number])[] = []
  for (const { adminUrl } of confabs) {
    const text = await (await fetch(`${adminUrl}/metrics`)).text()
    for (const [, projection = '', lag] of text.matchAll(
      /^confab_projection_lag_events\{projection="([\w-]+)".*\} (\d+)$/gm,
    ))
      lags.push([projection, Number(lag)])
  }
  return (
    projectionNames.every(name => lags.some(([projection]) => projection === name)) &&
    lags.every(([, lag]) => lag === 0)
  )
}

/**
 * Resolves when these processes, which together build all views, have applied the whole log and readers see it.
 * Nothing may be written meanwhile.
 */
export const untilLevel = async (...confabs: readonly ConfabProcess[]): Promise<void> => {
  for (let since = performance.now(); performance.now() - since < settledMs; await sleep(pollMs))
    if (!(await areLevel(confabs))) since = performance.now()
}
