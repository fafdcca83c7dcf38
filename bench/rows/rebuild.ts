import { setTimeout as wait } from 'node:timers/promises'
import { connectNats, findRunningServer, openNatsPlans } from '../../src/infra/nats/index.ts'
import { drop, type PlanStore, projectionNames, rebuild, versionOf } from '../../src/projections/index.ts'
import { startConfab } from '../harness/confab.ts'
import { makeGroups } from '../harness/events.ts'
import { temporaryFolder } from '../harness/folders.ts'
import { startLoad } from '../harness/load.ts'
import { rawAppend } from '../limits/raw-append.ts'
import type { RunPlan } from '../load/jobs.ts'
import type { Row, Sample } from '../row.ts'
import { confabSockets, pairOf, pairs } from './socket-sides.ts'

const sockets = 20

/** Returns the generations that are not live, and how much they have still to apply. */
const progressOf = async (port: number): Promise<{ generations: number; behind: number }> => {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  const lags = [
    ...text.matchAll(/^confab_projection_lag_events\{projection="[\w-]+",generation="(\d+)",.*\} (\d+)$/gm),
  ]
  const behind = lags.reduce((sum, [, , lag]) => sum + Number(lag), 0)
  return { generations: new Set(lags.map(([, generation]) => generation)).size, behind }
}

const untilLevel = async (port: number, generations: number): Promise<void> => {
  for (;;) {
    const found = await progressOf(port)
    if (found.generations === generations && found.behind === 0) return
    await wait(50)
  }
}

const rebuildAll = async (plans: PlanStore): Promise<void> => {
  for (const name of projectionNames) await plans.update(name, plan => plan && rebuild(plan, versionOf(name)))
}

const dropBuilt = async (plans: PlanStore): Promise<void> => {
  for (const name of projectionNames)
    await plans.update(name, plan =>
      plan?.generations.reduce(
        (left, { generation }) => (generation === left.live ? left : drop(left, generation)),
        plan,
      ),
    )
}

export const rebuildRow: Row = {
  name: 'rebuild',
  figures: [
    {
      path: 'send to ack, 200 messages/s, p50, while all five views are rebuilt',
      unit: 'ms',
      target: { rule: 'ratio at most', value: 1.1 },
    },
  ],
  prepare: async ({ quick, defer, tell }) => {
    const folder = temporaryFolder()
    defer(folder.remove)
    const confab = await startConfab({ data: folder.path })
    defer(confab.stop)
    const servers = findRunningServer(folder.path)?.url ?? ''
    const nats = await connectNats({ servers, name: 'bench' })
    defer(() => nats.close())
    await rawAppend(nats.connection, makeGroups(500, 20, quick ? 40_000 : 150_000))
    const plans = await openNatsPlans(nats)
    await untilLevel(confab.adminPort, 1)
    const load = startLoad()
    defer(load.stop)
    await load.open(confab.port, await confabSockets(sockets), true)
    await load.create(pairs(sockets))
    const plan: RunPlan = {
      senders: Array.from({ length: sockets }, (_, socket) => ({ socket, c: pairOf(socket) })),
      inFlight: 4,
      until: 'acked',
      receivers: 2,
      sample: 1,
      rate: 200,
      seconds: quick ? 1.5 : 3,
    }
    const median = async (): Promise<Sample> => [(await load.run(plan)).ackMs.p50]
    return {
      ours: async () => {
        await rebuildAll(plans)
        while ((await progressOf(confab.adminPort)).generations < 2) await wait(20)
        const sample = await median()
        const { behind } = await progressOf(confab.adminPort)
        if (behind === 0) tell('the rebuild was over before the load')
        await untilLevel(confab.adminPort, 2)
        await dropBuilt(plans)
        await untilLevel(confab.adminPort, 1)
        return sample
      },
      limit: median,
    }
  },
}
