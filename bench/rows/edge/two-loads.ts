import { fileURLToPath } from 'node:url'
import { startScript } from '../../harness/children.ts'
import { type Load, startLoad } from '../../harness/load.ts'
import type { SocketPlan } from '../../load/jobs.ts'
import type { Context } from '../../row.ts'

const rawSockets = fileURLToPath(new URL('../../limits/raw-sockets.ts', import.meta.url))

/** Returns the port of raw uWebSockets.js that delivers frames of `frameBytes`. */
export const startRaw = async (defer: Context['defer'], frameBytes = 0): Promise<number> => {
  const server = startScript(rawSockets, [String(frameBytes)])
  defer(server.stop)
  return (await server.next<{ port: number }>()).port
}

/**
 * Two generators at one server: one sends the load and only counts, the other checks each delivery at a few sockets
 * of its own.
 */
export interface TwoLoads {
  readonly load: Load
  readonly watch: Load
}

/** The last `watched` sockets belong to the watching process. */
export const openTwoLoads = async (
  defer: Context['defer'],
  port: number,
  plans: readonly SocketPlan[],
  watched: number,
  hello: boolean,
): Promise<TwoLoads> => {
  const [load, watch] = [startLoad(), startLoad()]
  defer(load.stop)
  defer(watch.stop)
  await load.open(port, plans.slice(0, -watched), hello)
  await watch.open(port, plans.slice(-watched), hello)
  return { load, watch }
}
