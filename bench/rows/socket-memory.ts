import { setTimeout as wait } from 'node:timers/promises'
import { startScript } from '../harness/children.ts'
import { type ConfabServer, startConfab } from '../harness/confab.ts'
import { temporaryFolder } from '../harness/folders.ts'
import { startLoad } from '../harness/load.ts'
import type { Memory } from '../harness/memory-probe.ts'
import { conversationId, userId } from '../load/frames.ts'
import type { ConversationPlan, SocketPlan } from '../load/jobs.ts'
import type { Row, Sample } from '../row.ts'
import { confabSockets } from './socket-sides.ts'

/** Connected before the first measurement, to use up memory that the process has already allocated. */
const already = 2000
const measured = 5000
const users = already + measured
const conversationsEach = 20
const membersEach = 20

const probe = new URL('../harness/memory-probe.ts', import.meta.url).pathname
const rawSockets = new URL('../limits/raw-sockets.ts', import.meta.url).pathname

/**
 * As many conversations as users, each user in 20 of them, 20 users in each; created by as few sockets as possible.
 */
const conversations = (): ConversationPlan[] =>
  Array.from({ length: users }, (_, n) => ({
    c: conversationId(n),
    kind: 'group' as const,
    members: Array.from({ length: membersEach }, (_, k) =>
      userId((n + k * Math.floor(users / membersEach)) % users),
    ),
    by: n,
  }))

/** Bytes per socket, between `already` and `users` sockets. */
const bytesEach = async (
  port: number,
  plans: readonly SocketPlan[],
  hello: boolean,
  memory: () => Promise<Memory>,
): Promise<Sample> => {
  const [first, rest] = [startLoad(), startLoad()]
  try {
    await first.open(port, plans.slice(0, already), hello)
    await wait(300)
    const before = await memory()
    await rest.open(port, plans.slice(already), hello)
    await wait(300)
    const after = await memory()
    return [(after.used - before.used) / measured / 1000]
  } finally {
    await first.stop()
    await rest.stop()
  }
}

const measureRaw = async (): Promise<Sample> => {
  const server = startScript(rawSockets, [], { nodeFlags: ['--expose-gc', '--import', probe] })
  try {
    const { port } = await server.next<{ port: number }>()
    const plans = Array.from({ length: users }, () => ({ path: '/idle' }))
    return await bytesEach(port, plans, false, () => server.ask<Memory>({ memory: true }))
  } finally {
    await server.stop()
  }
}

export const socketMemoryRow: Row = {
  name: 'socket-memory',
  figures: [
    {
      path: `an idle socket with ${conversationsEach} conversations, of ${measured}`,
      unit: 'kB',
      target: { rule: 'more at most', value: 4 },
    },
  ],
  prepare: async ({ tell, defer }) => {
    const plans = await confabSockets(users)
    const folder = temporaryFolder()
    defer(folder.remove)
    const withConfab = async <T>(work: (confab: ConfabServer) => Promise<T>): Promise<T> => {
      const confab = await startConfab({ data: folder.path })
      try {
        return await work(confab)
      } finally {
        await confab.stop()
      }
    }
    await withConfab(async ({ port }) => {
      const load = startLoad()
      await load.open(port, plans, true)
      await load.create(conversations())
      await load.stop()
    })
    tell(`${users} conversations of ${membersEach} members are there`)
    return {
      ours: () => withConfab(confab => bytesEach(confab.port, plans, true, confab.memory)),
      limit: measureRaw,
    }
  },
}
