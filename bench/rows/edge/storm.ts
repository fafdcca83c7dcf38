import { startConfab } from '../../harness/confab.ts'
import { startLoad } from '../../harness/load.ts'
import { metricOf } from '../../harness/metrics.ts'
import { conversationId, userId } from '../../load/frames.ts'
import type { RunPlan } from '../../load/jobs.ts'
import type { Row } from '../../row.ts'
import { confabSockets } from '../socket-sides.ts'
import { startRaw } from './two-loads.ts'

const sockets = 5000
const conversations = 50
const missed = 20
/** As long as confab's events of such messages. */
const eventBytes = 279
/** Counts reads of missed events from the log and the timeline. */
const readsMetric = 'confab_edge_resume_reads_total'

/**
 * One member of each conversation stays connected and sends; the others are in one conversation each, evenly spread.
 */
const membersOf = (n: number): string[] => [
  userId(sockets + n),
  ...Array.from({ length: sockets / conversations }, (_, k) => userId(n + k * conversations)),
]

export const stormRow: Row = {
  name: 'storm',
  figures: [
    {
      path: `${sockets.toLocaleString('en')} sockets dropped at once, ${missed} missed events each in ${conversations} conversations, all caught up`,
      unit: 's',
      // The peers' table requires 0.3 s for 1,000; this is for five times as many.
      target: { rule: 'at most', value: 1.5 },
    },
    { path: 'reads of missed events', unit: 'reads', target: { rule: 'none' } },
    { path: 'sockets asked to retry later', unit: 'times', target: { rule: 'none' } },
  ],
  prepare: async ({ defer }) => {
    const confab = await startConfab()
    defer(confab.stop)
    const [crowd, speakers] = [startLoad(), startLoad()]
    defer(crowd.stop)
    defer(speakers.stop)
    const plans = await confabSockets(sockets + conversations)
    await speakers.open(confab.port, plans.slice(sockets), true)
    await crowd.open(confab.port, plans.slice(0, sockets), true)
    await speakers.create(
      Array.from({ length: conversations }, (_, n) => ({
        c: conversationId(n),
        kind: 'group',
        members: membersOf(n),
        by: n,
        here: 1,
      })),
    )
    const plan: RunPlan = {
      senders: Array.from({ length: conversations }, (_, n) => ({ socket: n, c: conversationId(n) })),
      inFlight: 1,
      until: 'acked',
      receivers: 1,
      sample: 1,
      seconds: 30,
    }
    const raw = startLoad()
    defer(raw.stop)
    const rawPort = await startRaw(defer, eventBytes)
    const rawPlans = Array.from({ length: sockets }, () => ({ path: `/missed/${missed}` }))
    return {
      limit: async () => {
        await raw.open(rawPort, rawPlans, true)
        await raw.follow()
        await raw.drop('nothing')
        const { seconds } = await raw.comeBack({ missed })
        await raw.close()
        return [seconds, Number.NaN, Number.NaN]
      },
      ours: async () => {
        await crowd.follow()
        await speakers.run({ ...plan, each: 1 })
        await crowd.drop()
        await speakers.run({ ...plan, each: missed })
        const before = await metricOf(confab.adminPort, readsMetric)
        const { seconds, retries } = await crowd.comeBack({ missed })
        return [seconds, (await metricOf(confab.adminPort, readsMetric)) - before, retries]
      },
    }
  },
}
