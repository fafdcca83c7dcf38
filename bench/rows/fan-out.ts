import type { Load } from '../harness/load.ts'
import { conversationId, userId } from '../load/frames.ts'
import type { ConversationPlan, RunPlan } from '../load/jobs.ts'
import type { Row, Sample } from '../row.ts'
import { loadConfab, loadTopic } from './socket-sides.ts'

const sockets = 1000
/** Every fiftieth socket is checked, the senders among them. */
const sample = 50
const c = conversationId(0)
/**
 * With 4 in flight each, delivery dominates the time; with half as many, both sides are idle part of the time, confab
 * more.
 */
const senders = 16

export const fanOutRow: Row = {
  name: 'fan-out',
  figures: [
    {
      path: `deliveries in a conversation of ${sockets} sockets`,
      unit: 'deliveries/s',
      target: { rule: 'ratio at least', value: 0.7 },
    },
  ],
  turns: 3,
  prepare: async ({ quick, tell, defer }) => {
    const plan: RunPlan = {
      senders: Array.from({ length: senders }, (_, n) => ({ socket: n * sample, c })),
      inFlight: 4,
      until: 'delivered',
      receivers: sockets,
      sample,
      napMs: 2,
      seconds: quick ? 0.4 : 0.8,
    }
    const channel: ConversationPlan = {
      c,
      kind: 'channel',
      members: Array.from({ length: sockets }, (_, n) => userId(n)),
      by: 0,
    }
    const own = await loadConfab(defer, sockets, [channel])
    const { deliveredBytes } = await own.run({ ...plan, seconds: 0.2 })
    tell(`a delivered frame has ${deliveredBytes} bytes`)
    const raw = await loadTopic(defer, sockets, deliveredBytes)
    const rate = async (load: Load): Promise<Sample> => {
      const { delivered, seconds } = await load.run(plan)
      return [delivered / seconds]
    }
    return {
      ours: () => rate(own),
      limit: () => rate(raw),
    }
  },
}
