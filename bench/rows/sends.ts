import type { RunPlan } from '../load/jobs.ts'
import type { Row, Sample } from '../row.ts'
import { type LoadedServer, loadConfab, loadRelay, pairOf, pairs } from './socket-sides.ts'

const sockets = 200
const senders = Array.from({ length: sockets }, (_, socket) => ({ socket, c: pairOf(socket) }))
const common = { senders, inFlight: 4, until: 'acked', receivers: 2, sample: 1 } as const

/** Both servers, idle but for the one whose turn it is; a figure is taken from what a run gives. */
const sides = async (take: (server: LoadedServer) => Promise<Sample>) => {
  const relay = await loadRelay(sockets)
  const own = await loadConfab(sockets, pairs(sockets))
  return {
    ours: () => take(own),
    limit: () => take(relay),
    close: async () => {
      await own.stop()
      await relay.stop()
    },
  }
}

export const sendsRow: Row = {
  name: 'sends',
  figures: [
    {
      path: `sends acked and delivered to both members, ${sockets} sockets, 4 in flight each`,
      unit: 'messages/s',
      target: { rule: 'ratio at least', value: 0.7 },
    },
  ],
  prepare: ({ quick }) => {
    const plan: RunPlan = { ...common, seconds: quick ? 1.5 : 3 }
    return sides(async ({ load }) => {
      const { sent, seconds } = await load.run(plan)
      return [sent / seconds]
    })
  },
}

export const latencyRow: Row = {
  name: 'latency',
  figures: [
    { path: 'send to ack, 200 messages/s, p50', unit: 'ms', target: { rule: 'ratio at most', value: 1.5 } },
    {
      path: 'send to delivery at another member, 200 messages/s, p50',
      unit: 'ms',
      target: { rule: 'ratio at most', value: 1.5 },
    },
  ],
  prepare: ({ quick }) => {
    const plan: RunPlan = { ...common, rate: 200, seconds: quick ? 1.5 : 3 }
    return sides(async ({ load }) => {
      const { ackMs, deliveryMs } = await load.run(plan)
      return [ackMs.p50, deliveryMs.p50]
    })
  },
}
