import type { RunPlan, RunResult } from '../load/jobs.ts'
import type { Context, Row, Sample, Sides } from '../row.ts'
import { loadConfab, loadRelay, pairOf, pairs } from './socket-sides.ts'

const sockets = 200
const senders = Array.from({ length: sockets }, (_, socket) => ({ socket, c: pairOf(socket) }))
const common = { senders, inFlight: 4, until: 'acked', receivers: 2, sample: 1 } as const

/** Both servers, idle but for the one whose turn it is; a figure is taken from what a run gives. */
const prepareSides = async (
  { defer }: Context,
  plan: RunPlan,
  take: (result: RunResult) => Sample,
): Promise<Sides> => {
  const relay = await loadRelay(defer, sockets)
  const own = await loadConfab(defer, sockets, pairs(sockets))
  return { ours: async () => take(await own.run(plan)), limit: async () => take(await relay.run(plan)) }
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
  prepare: context =>
    prepareSides(context, { ...common, seconds: context.quick ? 1.5 : 3 }, ({ sent, seconds }) => [
      sent / seconds,
    ]),
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
  prepare: context =>
    prepareSides(
      context,
      { ...common, rate: 200, seconds: context.quick ? 1.5 : 3 },
      ({ ackMs, deliveryMs }) => [ackMs.p50, deliveryMs.p50],
    ),
}
