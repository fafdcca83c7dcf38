import { startConfab } from '../../harness/confab.ts'
import { startLoad } from '../../harness/load.ts'
import type { SocketPlan } from '../../load/jobs.ts'
import type { Row, Sample } from '../../row.ts'
import { confabSockets } from '../socket-sides.ts'
import { startRaw } from './two-loads.ts'

const sockets = 2000
const width = 64

export const connectRow: Row = {
  name: 'connect',
  figures: [
    {
      path: `sockets connected, token checked and hello answered, ${width} on their way at a time (limit: connected)`,
      unit: 'sockets/s',
      target: { rule: 'none' },
    },
  ],
  turns: 2,
  prepare: async ({ quick, defer }) => {
    const confab = await startConfab()
    defer(confab.stop)
    const rawPort = await startRaw(defer)
    const own = await confabSockets(quick ? sockets / 4 : sockets)
    const raw = own.map(() => ({ path: '/idle' }))
    const rate = async (port: number, plans: readonly SocketPlan[], hello: boolean): Promise<Sample> => {
      const load = startLoad()
      try {
        // The first connection waits for the process to start.
        await load.open(port, plans.slice(0, 1), hello)
        const startedAt = performance.now()
        await load.open(port, plans, hello, { width })
        return [plans.length / ((performance.now() - startedAt) / 1000)]
      } finally {
        await load.stop()
      }
    }
    return {
      ours: () => rate(confab.port, own, true),
      limit: () => rate(rawPort, raw, false),
    }
  },
}
