import {
  type BusLimits,
  type CommandBus,
  createCommandBus,
  createLogLookup,
  createStates,
  type MessageLookup,
  oneEpoch,
  type SharedConversations,
  type StateReader,
} from '../../src/commands/index.ts'
import type { AggregateRef, ConversationRequest, UserRequest } from '../../src/events/index.ts'
import { MemoryEventLog, MemoryLiveFeed, MemorySnapshotStore } from '../../src/infra/memory/index.ts'
import { at } from './given.ts'

export interface Node {
  readonly log: MemoryEventLog
  readonly bus: CommandBus
  readonly states: StateReader
  /** Executes a request of a user. */
  as(from: string, request: Asked): Promise<unknown>
}

/** A request without its id. */
export type Asked = ConversationRequest | UserRequest extends infer R
  ? R extends unknown
    ? Omit<R, 'id'>
    : never
  : never

/** A node on a log in memory whose feed lags behind the appends. */
export const setUp = async (
  more: {
    log?: MemoryEventLog
    limits?: Partial<BusLimits>
    lookup?: MessageLookup
    shared?: SharedConversations
    snapshots?: MemorySnapshotStore
    epoch?: number
    decides?: (aggregate: AggregateRef) => boolean
  } = {},
): Promise<Node> => {
  const log = more.log ?? new MemoryEventLog()
  const feed = new MemoryLiveFeed(log, 'later')
  const states = createStates({
    log,
    snapshots: more.snapshots ?? new MemorySnapshotStore(),
    feed,
    ...(more.limits === undefined ? {} : { limits: more.limits }),
  })
  const bus = createCommandBus({
    log,
    lookup: more.lookup ?? createLogLookup(log),
    shared: more.shared,
    states,
    epochs: more.epoch === undefined ? undefined : { ...oneEpoch, epochOf: () => more.epoch as number },
    ...(more.decides === undefined ? {} : { decides: more.decides }),
    ...(more.limits === undefined ? {} : { limits: more.limits }),
  })
  await feed.start()
  const as = (from: string, request: Asked) =>
    bus.execute({ id: '1', ...request } as ConversationRequest | UserRequest, { from, at })
  return { log, bus, states, as }
}

export const create = { t: 'create', c: 'c1', kind: 'group', members: ['bob'] } as const
export const send = (m: string, text = 'hi') => ({ t: 'send', c: 'c1', m, text }) as const
/** Creates group `c1` of alice, the owner, and bob. */
export const createGroup = (node: Node) => node.as('alice', { ...create, members: ['bob'] })
