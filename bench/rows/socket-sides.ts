import { startScript } from '../harness/children.ts'
import { type ConfabServer, startConfab, tokenOf } from '../harness/confab.ts'
import { type Load, startLoad } from '../harness/load.ts'
import { startNats } from '../harness/nats.ts'
import { conversationId, userId } from '../load/frames.ts'
import type { ConversationPlan, SocketPlan } from '../load/jobs.ts'

/** A server under load, with the generator that is connected to it. */
export interface LoadedServer {
  readonly load: Load
  stop(): Promise<void>
}

const script = (name: string): string => new URL(`../limits/${name}`, import.meta.url).pathname

/** Conversations of two: sockets 2n and 2n + 1 are the members of the nth. */
export const pairOf = (socket: number): string => conversationId(socket >> 1)

/** The bare relay, with `sockets` connected, two a topic. */
export const loadRelay = async (sockets: number): Promise<LoadedServer> => {
  const nats = await startNats()
  const relay = startScript(script('relay.ts'), [nats.url])
  const load = startLoad()
  const { port } = await relay.next<{ port: number }>()
  const plans = Array.from({ length: sockets }, (_, n): SocketPlan => ({ path: `/${pairOf(n)}` }))
  await load.open(port, plans, false)
  return {
    load,
    stop: async () => {
      await load.stop()
      await relay.stop()
      await nats.stop()
    },
  }
}

/** Raw uWebSockets.js, with `sockets` connected to one topic that gets frames of `frameBytes`. */
export const loadTopic = async (sockets: number, frameBytes: number): Promise<LoadedServer> => {
  const server = startScript(script('raw-sockets.ts'), [String(frameBytes)])
  const load = startLoad()
  const { port } = await server.next<{ port: number }>()
  await load.open(
    port,
    Array.from({ length: sockets }, () => ({ path: '/topic' })),
    false,
  )
  return {
    load,
    stop: async () => {
      await load.stop()
      await server.stop()
    },
  }
}

/** Sockets of users 0 to `users` - 1, authenticated by hello. */
export const confabSockets = (users: number): Promise<SocketPlan[]> =>
  Promise.all(
    Array.from({ length: users }, async (_, n) => ({ path: '/v1/ws', token: await tokenOf(userId(n)) })),
  )

/** confab, with `sockets` connected, a user each, in the conversations given. */
export const loadConfab = async (
  sockets: number,
  conversations: readonly ConversationPlan[],
): Promise<LoadedServer & { readonly confab: ConfabServer }> => {
  const confab = await startConfab()
  const load = startLoad()
  await load.open(confab.port, await confabSockets(sockets), true)
  await load.create(conversations)
  return {
    confab,
    load,
    stop: async () => {
      await load.stop()
      await confab.stop()
    },
  }
}

/** The conversations of two that `pairOf` speaks of. */
export const pairs = (sockets: number): ConversationPlan[] =>
  Array.from({ length: sockets / 2 }, (_, n) => ({
    c: conversationId(n),
    kind: 'direct' as const,
    members: [userId(2 * n), userId(2 * n + 1)],
    by: 2 * n,
  }))
