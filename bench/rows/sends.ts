import type { Load } from '../harness/load.ts'
import type { RunPlan, RunResult } from '../load/jobs.ts'
import type { Context, Row, Sample, Sides } from '../row.ts'
import { allRoles, loadConfab, loadRelay, pairOf, pairs } from './socket-sides.ts'

const sockets = 200
const senders = Array.from({ length: sockets }, (_, socket) => ({ socket, c: pairOf(socket) }))
const common = { senders, inFlight: 4, until: 'acked', receivers: 2, sample: 1 } as const

/**
 * Sets up the relay and confab once per list of roles; all are idle except in their turn. `take` computes a run's
 * figures.
 */
const prepareSides = async (
  { defer }: Context,
  plan: RunPlan,
  roles: readonly string[],
  take: (result: RunResult) => Sample,
): Promise<Sides> => {
  const relay = await loadRelay(defer, sockets)
  const own: Load[] = []
  for (const role of roles) own.push(await loadConfab(defer, sockets, pairs(sockets), role))
  return {
    ours: async () => {
      const samples: number[] = []
      for (const load of own) samples.push(...take(await load.run(plan)))
      return samples
    },
    limit: async () => {
      const sample = take(await relay.run(plan))
      return own.flatMap(() => sample)
    },
  }
}

export const sendsRow: Row = {
  name: 'sends',
  figures: [
    {
      path: `sends acked and delivered to both members, ${sockets} sockets, 4 in flight each; all roles`,
      unit: 'messages/s',
      target: { rule: 'ratio at least', value: 0.7 },
    },
    {
      path: 'the same; roles edge and commands',
      unit: 'messages/s',
      target: { rule: 'ratio at least', value: 0.7 },
    },
    {
      path: 'the same; all roles, the edge in a process of its own',
      unit: 'messages/s',
      target: { rule: 'ratio at least', value: 0.3 },
    },
  ],
  turns: 4,
  prepare: context =>
    prepareSides(
      context,
      { ...common, seconds: context.quick ? 0.4 : 0.8 },
      [allRoles, 'edge,commands', 'commands,projections|edge'],
      ({ sent, seconds }) => [sent / seconds],
    ),
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
      [allRoles],
      ({ ackMs, deliveryMs }) => [ackMs.p50, deliveryMs.p50],
    ),
}
