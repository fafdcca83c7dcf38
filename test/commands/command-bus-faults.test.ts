import fc from 'fast-check'
import t, { type Test } from 'tap'
import { createCommandBus, createLogLookup, createStates } from '../../src/commands/index.ts'
import {
  type AppendFault,
  MemoryEventLog,
  MemoryLiveFeed,
  MemorySnapshotStore,
} from '../../src/infra/memory/index.ts'
import { arbitraryUser, arbitraryWish } from './arbitrary-commands.ts'
import { type BusNode, checkLog, runClients, type Step } from './bus-under-load.ts'

const conversations = ['c1', 'c2']

const step: fc.Arbitrary<Step> = fc.record({
  from: arbitraryUser,
  c: fc.constantFrom(...conversations),
  wish: arbitraryWish,
  node: fc.nat({ max: 2 }),
})

const fault: fc.Arbitrary<AppendFault | undefined> = fc.constantFrom(
  ...Array<undefined>(15).fill(undefined),
  'conflict',
  'overloaded',
  'lost',
  'answer-lost',
  'later',
)

/**
 * Starts several nodes on one log. A replaced node starts with an empty memory, and in half of the runs the caches
 * are too small.
 */
const startNodes = async (log: MemoryEventLog, count: number, isSmall: boolean) => {
  const snapshots = new MemorySnapshotStore()
  const start = async (): Promise<BusNode> => {
    const feed = new MemoryLiveFeed(log, 'later')
    const limits = {
      batchFrom: 3,
      batchMost: 5,
      snapshotEvery: 20,
      ...(isSmall ? { conversationBytes: 1, userBytes: 1 } : {}),
    }
    const states = createStates({ log, snapshots, feed, limits })
    const bus = createCommandBus({
      log,
      lookup: createLogLookup(log),
      states,
      limits,
    })
    await feed.start()
    return { bus, states }
  }
  const nodes = await Promise.all(Array.from({ length: count }, start))
  return {
    nodes,
    replace: async (i: number) => {
      nodes[i % count] = await start()
    },
  }
}

const create = async (t: Test, nodes: readonly BusNode[]): Promise<void> => {
  const clients = conversations.map(c => [
    {
      from: 'alice',
      c,
      wish: { t: 'create' as const, kind: 'channel' as const, members: ['bob', 'carol'] },
      node: 0,
    },
  ])
  const outcomes = await runClients(() => nodes, clients)
  t.ok(outcomes.every(({ answer }) => answer?.seq === 1))
}

t.test(
  'whatever happens to the appends, every acknowledged command is in the log once, at its answered seq',
  async t => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(step, { maxLength: 30, size: 'max' }), { minLength: 2, maxLength: 8, size: 'max' }),
        fc.infiniteStream(fault),
        fc.array(fc.nat({ max: 2 }), { maxLength: 3 }),
        fc.boolean(),
        fc.boolean(),
        async (clients, faults, replaced, isSmall, remembersIds) => {
          const log = new MemoryEventLog({ remembersIds })
          const { nodes, replace } = await startNodes(log, 3, isSmall)
          await create(t, nodes)
          log.fault = () => faults.next().value
          const running = runClients(() => nodes, clients)
          for (const node of replaced) {
            await new Promise(resolve => setTimeout(resolve, 5))
            await replace(node)
          }
          const outcomes = await running
          log.fault = undefined
          await Promise.all(nodes.map(node => node.bus.drain()))
          await checkLog(t, log, conversations, outcomes, nodes)
        },
      ),
      { numRuns: 40 },
    )
  },
)

t.test('a long queue, batches and their faults', async t => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 50, maxLength: 200, size: 'max' }),
      fc.infiniteStream(fault),
      async (steps, faults) => {
        const log = new MemoryEventLog({ remembersIds: false })
        const { nodes } = await startNodes(log, 2, false)
        await create(t, nodes)
        log.fault = () => faults.next().value
        // Each step is a client of its own: all of them wait in the same two queues.
        const outcomes = await runClients(
          () => nodes,
          steps.map(one => [one]),
        )
        log.fault = undefined
        await checkLog(t, log, conversations, outcomes, nodes)
      },
    ),
    { numRuns: 20 },
  )
})
