import { fileURLToPath } from 'node:url'
import { startScript } from '../harness/children.ts'
import { type ConfabServer, startConfab, tokenOf } from '../harness/confab.ts'
import { temporaryFolder } from '../harness/folders.ts'
import { type Load, startLoad } from '../harness/load.ts'
import { startNats } from '../harness/nats.ts'
import { conversationId, userId } from '../load/frames.ts'
import type { ConversationPlan, SocketPlan } from '../load/jobs.ts'
import type { Context } from '../row.ts'

type Defer = Context['defer']

const limit = (name: string): string => fileURLToPath(new URL(`../limits/${name}`, import.meta.url))

/** Conversations of two: sockets 2n and 2n + 1 are the members of the nth. */
export const pairOf = (socket: number): string => conversationId(socket >> 1)

export const pairs = (sockets: number): ConversationPlan[] =>
  Array.from({ length: sockets / 2 }, (_, n) => ({
    c: conversationId(n),
    kind: 'direct' as const,
    members: [userId(2 * n), userId(2 * n + 1)],
    by: 2 * n,
  }))

const connectLoad = async (
  defer: Defer,
  port: number,
  sockets: readonly SocketPlan[],
  hello: boolean,
): Promise<Load> => {
  const load = startLoad()
  defer(load.stop)
  await load.open(port, sockets, hello)
  return load
}

/** Connects the generator to the bare relay with `sockets`, two per topic. */
export const loadRelay = async (defer: Defer, sockets: number): Promise<Load> => {
  const nats = await startNats()
  defer(nats.stop)
  const relay = startScript(limit('relay.ts'), [nats.url])
  defer(relay.stop)
  const { port } = await relay.next<{ port: number }>()
  const plans = Array.from({ length: sockets }, (_, n): SocketPlan => ({ path: `/${pairOf(n)}` }))
  return connectLoad(defer, port, plans, false)
}

/** Connects the generator to raw uWebSockets.js with `sockets`, all in one topic with frames of `frameBytes`. */
export const loadTopic = async (defer: Defer, sockets: number, frameBytes: number): Promise<Load> => {
  const server = startScript(limit('raw-sockets.ts'), [String(frameBytes)])
  defer(server.stop)
  const { port } = await server.next<{ port: number }>()
  const plans = Array.from({ length: sockets }, () => ({ path: '/topic/0' }))
  return connectLoad(defer, port, plans, false)
}

/** Sockets of users 0 to `users` - 1. */
export const confabSockets = (users: number): Promise<SocketPlan[]> =>
  Promise.all(
    Array.from({ length: users }, async (_, n) => ({ path: '/v1/ws', token: await tokenOf(userId(n)) })),
  )

/** The roles of a process started without options. */
export const allRoles = 'edge,commands,projections'

/** Starts the processes of one system on one data folder, the one with the edge last. */
const startSplit = async (defer: Defer, processes: readonly string[]): Promise<ConfabServer> => {
  const folder = temporaryFolder()
  defer(folder.remove)
  let last: ConfabServer | undefined
  for (const roles of processes) {
    last = await startConfab({ data: folder.path, roles })
    defer(last.stop)
  }
  if (last === undefined) throw new TypeError('no process')
  return last
}

/**
 * Connects the generator to confab with `sockets`, one user each, in the given conversations. `roles`: of one
 * process, or of several separated by `|`, the edge last.
 */
export const loadConfab = async (
  defer: Defer,
  sockets: number,
  conversations: readonly ConversationPlan[],
  roles = allRoles,
): Promise<Load> => {
  const confab = await startSplit(defer, roles.split('|'))
  const load = await connectLoad(defer, confab.port, await confabSockets(sockets), true)
  await load.create(conversations)
  return load
}
