import { readFileSync } from 'node:fs'
import { defaultEdgeLimits } from '../../../src/edge/ports/edge-limits.ts'
import { startConfab } from '../../harness/confab.ts'
import { startLoad } from '../../harness/load.ts'
import { conversationId, userId } from '../../load/frames.ts'
import type { TalkPlan } from '../../load/jobs.ts'
import type { Row, Sample } from '../../row.ts'
import { confabSockets } from '../socket-sides.ts'
import { openTwoLoads } from './two-loads.ts'

const users = 1000
/** 1 % of the sockets. */
const stuck = 10
const watched = 50
const loaded = users - watched - stuck
/**
 * All sockets are in the first conversation. The stuck ones are also in the second, with a sender, so that 1.5 MB/s
 * is buffered for each.
 */
const [all, flood] = [conversationId(0), conversationId(1)]
const talks: TalkPlan['talks'] = [
  {
    c: all,
    weight: 40,
    speakers: Array.from({ length: loaded - 1 }, (_, n) => n + 1),
    receivers: loaded,
  },
  { c: flood, weight: 100, speakers: [0], receivers: 1, textBytes: 15_000 },
]
const rate = 140

/** Returns a process's own memory in bytes, garbage included: collecting would stop the process. */
const ownMemory = (pid: number): number =>
  Number(/^RssAnon:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]) * 1024

/** Samples memory ten times a second; the returned function ends it and returns the maximum. */
const watchMemory = (pid: number): (() => number) => {
  let most = ownMemory(pid)
  const timer = setInterval(() => {
    most = Math.max(most, ownMemory(pid))
  }, 100)
  return () => {
    clearInterval(timer)
    return most
  }
}

/** A server per measurement, because a process reuses memory that it once had. */
const measure = async (isStuck: boolean, seconds: number): Promise<Sample> => {
  const ends: (() => unknown)[] = []
  const defer = (end: () => unknown) => void ends.push(end)
  try {
    // Views of so many long texts would take most of a core, and they are not measured here.
    const confab = await startConfab({ roles: 'edge,commands' })
    defer(confab.stop)
    const plans = await confabSockets(users)
    const { load, watch } = await openTwoLoads(
      defer,
      confab.port,
      plans.slice(0, users - stuck),
      watched,
      true,
    )
    const slow = startLoad()
    defer(slow.stop)
    await slow.open(confab.port, plans.slice(-stuck), true)
    const members = plans.map((_, n) => userId(n))
    await load.create([
      { c: all, kind: 'group', members, by: 0, here: loaded },
      { c: flood, kind: 'group', members: [userId(0), ...members.slice(-stuck)], by: 0, here: 1 },
    ])
    const plan: TalkPlan = { talks, rate, seconds: 2, waitMs: 5_000, seed: 1 }
    const run = async (more: Partial<TalkPlan>) => {
      await watch.watch()
      const { sent, complete } = await load.talk({ ...plan, ...more })
      if (!complete) throw new Error('not every message was acked and delivered')
      return watch.report(
        Array.from({ length: watched }, (_, socket) => ({ socket, c: all, messages: sent[0]! })),
      )
    }
    await run({ seed: 2 })
    const before = ownMemory(confab.pid)
    const memory = watchMemory(confab.pid)
    if (isStuck) await slow.pause()
    const { deliveryMs } = await run({ seconds })
    return [deliveryMs.p99, (memory() - before) / stuck / 1e6]
  } finally {
    for (const end of ends.reverse()) await end()
  }
}

export const slowClientsRow: Row = {
  name: 'slow-clients',
  figures: [
    {
      path: `delivery at the others, p99, while ${stuck} of ${users.toLocaleString('en')} sockets never read (limit: they read)`,
      unit: 'ms',
      target: { rule: 'ratio at most', value: 1.2 },
    },
    {
      path: 'maximum growth of the server per socket that never reads',
      unit: 'MB',
      target: { rule: 'more at most', value: defaultEdgeLimits.backpressureBytes / 1e6 },
    },
  ],
  mostRounds: 3,
  prepare: async ({ quick }) => {
    const seconds = quick ? 5 : 10
    return { ours: () => measure(true, seconds), limit: () => measure(false, seconds) }
  },
}
