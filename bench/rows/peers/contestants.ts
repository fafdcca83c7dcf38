import { fileURLToPath } from 'node:url'
import { startScript } from '../../harness/children.ts'
import { startConfab, tokenOf } from '../../harness/confab.ts'
import { type Load, startLoad } from '../../harness/load.ts'
import type { Memory } from '../../harness/memory-probe.ts'
import { findCentrifuge, findSocketIo, type StartPeer } from '../../harness/peers.ts'
import type { DialectName } from '../../load/dialects/index.ts'
import { conversationId, userId } from '../../load/frames.ts'
import type { SocketPlan } from '../../load/jobs.ts'
import type { Context, Sample, Sides } from '../../row.ts'

type Defer = Context['defer']

/** Members of each room by number: the numbers of users 0, 1, 2 …; room n is conversation n. */
export type Rooms = readonly (readonly number[])[]

/** A running server of any program. */
export interface Server {
  readonly port: number
  /** Memory in use after collecting garbage, bytes. */
  memory(): Promise<number>
  stop(): Promise<void>
}

/** A program that does the work of a row, and the dialect of its protocol. */
export interface Contestant {
  readonly name: string
  readonly dialect: DialectName
  /** Whether the protocol has a greeting. */
  readonly hello: boolean
  /**
   * `keeps`: reconnecting clients receive missed messages. `data`: a folder for a server that stores; default: an
   * empty one.
   */
  start(keeps: boolean, data?: string): Promise<Server>
  plan(user: number, rooms: readonly string[]): Promise<SocketPlan>
  /** Whether rooms have to be created; elsewhere a room exists by its members. */
  readonly founds: boolean
}

const rawSockets = fileURLToPath(new URL('../../limits/raw-sockets.ts', import.meta.url))
const probe = fileURLToPath(new URL('../../harness/memory-probe.ts', import.meta.url))

const confab: Contestant = {
  name: 'confab',
  dialect: 'confab',
  hello: true,
  founds: true,
  start: async (_, data) => {
    const server = await startConfab(data === undefined ? {} : { data })
    return { ...server, memory: async () => (await server.memory()).used }
  },
  plan: async user => ({ path: '/v1/ws', token: await tokenOf(userId(user)) }),
}

const raw: Contestant = {
  name: 'raw uWS',
  dialect: 'confab',
  hello: false,
  founds: false,
  start: async () => {
    const child = startScript(rawSockets, [], { nodeFlags: ['--expose-gc', '--import', probe] })
    const { port } = await child.next<{ port: number }>()
    return { port, memory: async () => (await child.ask<Memory>({ memory: true })).used, stop: child.stop }
  },
  plan: async (_, rooms) => ({
    path: `/topic/${rooms.map(room => Number(room.slice(room.indexOf('-') + 1))).join(',')}`,
  }),
}

const peer = (name: string, dialect: DialectName, path: string, start: StartPeer): Contestant => ({
  name,
  dialect,
  hello: true,
  founds: false,
  start,
  plan: async (user, conversations) => ({ path, token: await tokenOf(userId(user)), conversations }),
})

export const names = { raw: raw.name, socketIo: 'Socket.IO 4.8', centrifuge: 'Centrifuge 0.40' } as const

/** Returns the available programs, and reports why others are missing. */
const findContestants = async ({ defer, tell }: Context): Promise<Contestant[]> => {
  const found = [raw]
  const tryPeer = async (
    name: string,
    dialect: DialectName,
    path: string,
    find: () => Promise<StartPeer>,
  ): Promise<void> => {
    try {
      found.push(peer(name, dialect, path, await find()))
    } catch (error) {
      tell(`without ${name}: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  await tryPeer(names.socketIo, 'socket.io', '/socket.io/?EIO=4&transport=websocket', () =>
    findSocketIo(tell),
  )
  await tryPeer(names.centrifuge, 'centrifuge', '/connection/websocket', () => findCentrifuge(defer, tell))
  return found
}

/** Opens the sockets of users `from` to `to` - 1 in their rooms. */
export const openUsers = async (
  defer: Defer,
  { plan, dialect, hello }: Contestant,
  port: number,
  rooms: Rooms,
  [from, to]: readonly [number, number],
): Promise<Load> => {
  const load = startLoad()
  defer(load.stop)
  const roomsOf = Array.from({ length: to - from }, (): string[] => [])
  for (const [n, members] of rooms.entries())
    for (const user of members) roomsOf[user - from]?.push(conversationId(n))
  const plans = await Promise.all(roomsOf.map((own, n) => plan(from + n, own)))
  await load.open(port, plans, hello, { dialect })
  return load
}

/**
 * Creates the rooms whose first member is one of the load's users, `from` to `to` - 1; only where rooms have to be
 * created.
 */
export const foundRooms = async (
  { founds }: Contestant,
  load: Load,
  rooms: Rooms,
  [from, to]: readonly [number, number],
): Promise<void> => {
  if (!founds) return
  const isHere = (user: number | undefined): boolean => user !== undefined && user >= from && user < to
  await load.create(
    rooms.flatMap((members, n) =>
      isHere(members[0])
        ? {
            c: conversationId(n),
            kind: 'group' as const,
            members: members.map(userId),
            by: members[0]! - from,
            here: members.filter(isHere).length,
          }
        : [],
    ),
  )
}

/**
 * Gives all programs the same work; confab's figure is the row's. `prepare` sets one program up and returns its turn.
 */
export const contest = async (
  context: Context,
  prepare: (contestant: Contestant) => Promise<() => Promise<Sample>>,
  { without = [] }: { readonly without?: readonly string[] } = {},
): Promise<Sides> => {
  const found = await findContestants(context)
  const beside: Record<string, () => Promise<Sample>> = {}
  const ours = await prepare(confab)
  for (const contestant of found)
    if (!without.includes(contestant.name)) beside[contestant.name] = await prepare(contestant)
  return { ours, beside }
}
