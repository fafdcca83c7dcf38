import { startConfab } from '../../harness/confab.ts'
import { startLoad } from '../../harness/load.ts'
import { conversationId, userId } from '../../load/frames.ts'
import type { RunPlan } from '../../load/jobs.ts'
import type { Row, Sample } from '../../row.ts'
import { confabSockets } from '../socket-sides.ts'
import { openTwoLoads, startRaw, type TwoLoads } from './two-loads.ts'

const c = conversationId(0)
/** Sockets of the watching process. */
const watched = 20
/** Maximum number of members that `create` may name. */
const createMembers = 1000

/** One conversation of all sockets; sends continue during deliveries, so deliveries dominate the time. */
const edgeFanOutRow = (sockets: number, senders: number): Row => {
  const loaded = sockets - watched
  const sample = Math.floor(loaded / senders)
  return {
    name: `edge-fan-out-${sockets}`,
    figures: [
      {
        path: `deliveries in a conversation of ${sockets.toLocaleString('en')} sockets, ${watched} of them checked by a second process`,
        unit: 'deliveries/s',
        target: { rule: 'ratio at least', value: 0.7 },
      },
    ],
    turns: 2,
    prepare: async ({ quick, tell, defer }) => {
      const plan: RunPlan = {
        senders: Array.from({ length: senders }, (_, n) => ({ socket: n * sample, c })),
        inFlight: 4,
        until: 'delivered',
        receivers: loaded,
        sample,
        napMs: 2,
        seconds: quick ? 0.5 : 1.5,
      }
      const measure = async ({ load, watch }: TwoLoads, seconds: number) => {
        await watch.watch()
        const run = await load.run({ ...plan, seconds })
        await watch.report(
          Array.from({ length: watched }, (_, socket) => ({ socket, c, messages: run.sent })),
        )
        return { ...run, rate: (run.sent * sockets) / run.seconds }
      }
      const rate = async (loads: TwoLoads): Promise<Sample> => [(await measure(loads, plan.seconds)).rate]

      const confab = await startConfab()
      defer(confab.stop)
      const plans = await confabSockets(sockets)
      const founder = startLoad()
      await founder.open(confab.port, plans.slice(0, 1), true)
      const members = plans.map((_, n) => userId(n))
      await founder.createLarge({ c, members, first: createMembers })
      await founder.stop()
      const own = await openTwoLoads(defer, confab.port, plans, watched, true)
      const { deliveredBytes } = await measure(own, 0.3)
      tell(`a delivered frame has ${deliveredBytes} bytes`)
      const rawPort = await startRaw(defer, deliveredBytes)
      const raw = await openTwoLoads(
        defer,
        rawPort,
        plans.map(() => ({ path: '/topic/0' })),
        watched,
        false,
      )
      return { ours: () => rate(own), limit: () => rate(raw) }
    },
  }
}

export const edgeFanOutRows: readonly Row[] = [edgeFanOutRow(1_000, 16), edgeFanOutRow(10_000, 16)]
