import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { CommandBus, CommandContext } from '../../../src/commands/index.ts'
import type { ConversationRequest, UserRequest } from '../../../src/events/index.ts'
import { CommandSubject, decodeAnnouncement } from '../../../src/infra/nats/commands/command-wire.ts'
import type { ServedStreams } from '../../../src/infra/nats/index.ts'
import { at } from '../../commands/given.ts'
import { startNats } from '../../harness/nats.ts'
import { openRemote, openServer } from './bus-processes.ts'

const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await sleep(5)
}

/** The streams that a node serves, as a test says. */
class Served implements ServedStreams {
  readonly region: string
  #epochs: ReadonlyMap<string, number>
  readonly #listeners = new Set<() => void>()

  constructor(region: string, epochs: Readonly<Record<string, number>> = {}) {
    this.region = region
    this.#epochs = new Map(Object.entries(epochs))
  }

  set(epochs: Readonly<Record<string, number>>): void {
    this.#epochs = new Map(Object.entries(epochs))
    for (const listener of this.#listeners) listener()
  }

  epochs(): ReadonlyMap<string, number> {
    return this.#epochs
  }

  epochOf(stream: string): number | undefined {
    return this.#epochs.get(stream)
  }

  streamOf({ family }: { readonly family: string }): string {
    return family === 'conv' ? 'CONV_0' : 'USER_0'
  }

  watch(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}

/** Counts the commands of a bus; `after` runs before each answer. */
const counting =
  (count: { executed: number }, after: () => Promise<void> = async () => {}) =>
  (bus: CommandBus): CommandBus => ({
    ...bus,
    execute: async <R extends ConversationRequest | UserRequest>(request: R, context: CommandContext) => {
      count.executed++
      const answer = await bus.execute(request, context)
      await after()
      return answer
    },
  })

const create = (bus: CommandBus, c: string) =>
  bus.execute({ id: '1', t: 'create', c, kind: 'group', members: ['bob'] }, { from: 'alice', at })
const send = (bus: CommandBus, c: string, m: string) =>
  bus.execute({ id: '1', t: 'send', c, m, text: 'hi' }, { from: 'bob', at })
const range = (to: number): number[] => Array.from({ length: to }, (_, i) => i + 1)

t.test('commands go to the nodes with the greatest epoch of the stream, and to no others', async t => {
  const nats = await startNats(t)
  const counts = {
    home: { executed: 0 },
    users: { executed: 0 },
    old: { executed: 0 },
    standby: { executed: 0 },
  }
  const nodes = [
    ['home', { CONV_0: 3 }],
    ['users', { USER_0: 1 }],
    // It has not noticed yet that the home changed.
    ['old', { CONV_0: 2 }],
    ['standby', {}],
  ] as const
  for (const [name, epochs] of nodes)
    await openServer(t, nats, { wrap: counting(counts[name]), served: new Served(name, epochs) })
  const { bus, connected } = await openRemote(t, nats)
  const seen = new Set<string>()
  connected.subscribe(CommandSubject.announcements, msg => {
    seen.add(decodeAnnouncement(msg.data)?.region ?? '')
  })
  await until(() => seen.size === nodes.length)
  await Promise.all(range(40).map(n => create(bus, `c${n}`)))
  await Promise.all(
    range(10).map(n => bus.execute({ id: '1', t: 'mute', c: `c${n}`, on: true }, { from: 'alice', at })),
  )
  t.match(counts, {
    home: { executed: 40 },
    users: { executed: 10 },
    old: { executed: 0 },
    standby: { executed: 0 },
  })
})

t.test('in a system of one region an announcement names neither region nor streams', async t => {
  const nats = await startNats(t)
  const { connected } = await openServer(t, nats)
  const announced = new Promise<object | undefined>(resolve => {
    connected.subscribe(CommandSubject.announcements, msg => resolve(decodeAnnouncement(msg.data)))
  })
  t.same(Object.keys((await announced) ?? {}).sort(), ['at', 'member', 'state'])
})

t.test('standby nodes alone decide nothing', async t => {
  const nats = await startNats(t)
  const served = new Served('b')
  await openServer(t, nats, { served })
  const { bus, connected } = await openRemote(t, nats, { limits: { timeoutMs: 1_000 } })
  await new Promise<void>(resolve => connected.subscribe(CommandSubject.announcements, () => resolve()))
  t.equal(bus.isServed, false)
  await t.rejects(create(bus, 'c1'), { code: 'UNAVAILABLE' })
  const waiting = create(bus, 'c2')
  served.set({ CONV_0: 2 })
  t.match(await waiting, { seq: 1 }, 'a command that waits goes to the new home at once')
  t.equal(bus.isServed, true)
})

t.test('after a change of the home, commands under way are sent again, in order, and count once', async t => {
  const nats = await startNats(t)
  const before = new Served('a', { CONV_0: 1 })
  const after = new Served('b')
  const count = { executed: 0 }
  // The old home appends the first command, and its answer is lost. The others wait in its queue.
  const lost = new Promise<void>(() => {})
  await openServer(t, nats, { served: before, wrap: counting(count, () => lost) })
  const { stored } = await openServer(t, nats, { served: after })
  const { bus } = await openRemote(t, nats)
  await until(() => bus.isServed)
  const answers = Promise.all([create(bus, 'c1'), ...range(20).map(n => send(bus, 'c1', `m${n}`))])
  await until(() => count.executed > 0)
  before.set({})
  after.set({ CONV_0: 2 })
  t.same(
    (await answers).map(({ seq }) => seq),
    range(21),
  )
  t.equal((await stored('c1')).length, 21, 'each once')
  t.equal(bus.open, 0)
})

t.test('a node that lost a stream does not answer commands that it has not appended', async t => {
  const nats = await startNats(t)
  const before = new Served('a', { CONV_0: 1 })
  const after = new Served('b')
  const gate = Promise.withResolvers<void>()
  const count = { executed: 0 }
  const late = (bus: CommandBus): CommandBus => ({
    ...bus,
    execute: async <R extends ConversationRequest | UserRequest>(request: R, context: CommandContext) => {
      count.executed++
      await gate.promise
      return await bus.execute(request, context)
    },
  })
  const old = await openServer(t, nats, { served: before, wrap: late })
  const slow = Promise.withResolvers<void>()
  await openServer(t, nats, {
    served: after,
    wrap: bus => ({
      ...bus,
      execute: async <R extends ConversationRequest | UserRequest>(request: R, context: CommandContext) => {
        await slow.promise
        return await bus.execute(request, context)
      },
    }),
  })
  const { bus } = await openRemote(t, nats)
  await until(() => bus.isServed)
  const answer = create(bus, 'c1')
  await until(() => count.executed === 1)
  before.set({})
  after.set({ CONV_0: 2 })
  gate.resolve()
  await until(() => old.server.inProgress === 0)
  slow.resolve()
  t.match(await answer, { seq: 1, duplicate: false })
})
