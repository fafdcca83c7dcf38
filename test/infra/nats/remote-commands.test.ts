import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import type { CommandBus, CommandContext } from '../../../src/commands/index.ts'
import {
  ConfabError,
  type ConversationRequest,
  partitionCount,
  type UserRequest,
} from '../../../src/events/index.ts'
import { assign } from '../../../src/infra/nats/commands/commands-nodes.ts'
import { arbitraryUser, arbitraryWish } from '../../commands/arbitrary-commands.ts'
import { checkLog, runClients, type Step } from '../../commands/bus-under-load.ts'
import { at } from '../../commands/given.ts'
import { startNats } from '../../harness/nats.ts'
import { openLocal, openRemote, openServer } from './bus-processes.ts'

const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await sleep(5)
}

const create = (bus: CommandBus, c: string) =>
  bus.execute({ id: '1', t: 'create', c, kind: 'group', members: ['bob'] }, { from: 'alice', at })
const send = (bus: CommandBus, c: string, m: string) =>
  bus.execute({ id: '1', t: 'send', c, m, text: 'hi' }, { from: 'bob', at })

const seqs = (answers: readonly { seq: number }[]): number[] => answers.map(({ seq }) => seq)
const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i)

t.test('partitions are shared evenly, and only those of joining or leaving nodes move', async t => {
  t.same(assign([]), Array(partitionCount).fill(undefined))
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.stringMatching(/^[A-Z0-9]{22}$/), { minLength: 2, maxLength: 12 }),
      names => {
        const sorted = [...names].sort()
        const table = assign(sorted)
        for (const name of sorted) {
          const share = table.filter(member => member === name).length
          if (share === 0 || share > (3 * partitionCount) / sorted.length) return false
        }
        const [gone, ...rest] = sorted
        return assign(rest).every((member, bucket) => table[bucket] === gone || table[bucket] === member)
      },
    ),
  )
  t.pass()
})

t.test('without a commands node, commands wait, are bounded, and time out', async t => {
  const nats = await startNats(t)
  const { bus, stored } = await openRemote(t, nats, { limits: { open: 11, timeoutMs: 4_000 } })
  t.equal(bus.isServed, false)
  const early = [create(bus, 'c1'), ...range(1, 10).map(i => send(bus, 'c1', `m${i}`))]
  await t.rejects(send(bus, 'c1', 'one more'), { code: 'OVERLOADED' })
  const { server } = await openServer(t, nats)
  t.same(seqs(await Promise.all(early)), range(1, 11), 'in order, once a commands node joins')
  t.equal(bus.isServed, true)
  await server.stop()
  await until(() => !bus.isServed)
  await t.rejects(send(bus, 'c1', 'late'), { code: 'UNAVAILABLE' })
  t.equal(bus.open, 0)
  t.equal((await stored('c1')).length, 11)
})

t.test(
  'one node leaves in order, another is killed: no command is lost, duplicated or reordered',
  async t => {
    const nats = await startNats(t)
    const ways = [await nats.proxy(), await nats.proxy()]
    const [first, second] = await Promise.all(ways.map(({ url }) => openServer(t, nats, { url })))
    await openServer(t, nats)
    const { bus, stored } = await openRemote(t, nats)
    await until(() => bus.isServed)
    const conversations = range(1, 24).map(i => `c${i}`)
    const created = conversations.map(c => create(bus, c))
    // Each conversation's messages are sent in order without waiting for answers.
    const sending: Promise<{ seq: number }[]>[] = []
    for (const i of range(1, 60)) {
      await sleep(10)
      if (i === 20) void first!.server.stop()
      if (i === 40) ways[1]!.block(true)
      sending.push(Promise.all(conversations.map(c => send(bus, c, `m${i}`))))
    }
    t.ok(second !== undefined)
    t.same(seqs(await Promise.all(created)), Array(24).fill(1))
    for (const [i, answers] of (await Promise.all(sending)).entries())
      t.same(seqs(answers), Array(24).fill(i + 2), `message ${i + 1}`)
    for (const c of conversations) t.equal((await stored(c)).length, 61)
    ways[1]!.block(false)
  },
)

t.test('after an answer its effect is readable, however late the feed is', async t => {
  const nats = await startNats(t)
  await openServer(t, nats)
  const { bus, states, held } = await openRemote(t, nats)
  await create(bus, 'c1')
  await until(() => {
    const view = states.conversation('c1')
    return !(view instanceof Promise) && view?.head === 1
  })
  held.hold()
  await send(bus, 'c1', 'm1')
  t.equal((await states.conversation('c1'))?.head, 2, 'of a cached state')
  await bus.execute({ id: '1', t: 'remove', c: 'c1', user: 'bob' }, { from: 'alice', at })
  t.equal((await states.conversation('c1'))?.roleOf('bob'), undefined)
  await create(bus, 'c2')
  t.equal((await states.conversation('c2'))?.head, 1, 'of an uncached state')
  held.release()
  const view = states.conversation('c1')
  t.notOk(view instanceof Promise, 'at once, when it is level')
  t.equal((await view)?.head, 3)
})

/** A bus that answers late, or never, and counts. */
const hesitant = (bus: CommandBus, times: { executed: number }, ms: number): CommandBus => ({
  ...bus,
  execute: async <R extends ConversationRequest | UserRequest>(request: R, context: CommandContext) => {
    times.executed++
    await sleep(ms)
    return await bus.execute(request, context)
  },
})

t.test('a slow node receives a command again and executes it once', async t => {
  const nats = await startNats(t)
  const times = { executed: 0 }
  const { server } = await openServer(t, nats, { wrap: bus => hesitant(bus, times, 1_500) })
  const { bus } = await openRemote(t, nats, { limits: { tryMs: 250 } })
  await until(() => bus.isServed)
  // On a busy machine the node may register again under a new name: the command is then executed under both.
  for (let i = 1, node: string | undefined; node === undefined || node !== server.node; i++) {
    node = server.node
    times.executed = 0
    t.match(await create(bus, `c${i}`), { seq: 1 })
  }
  t.ok(bus.resent > 0)
  t.equal(times.executed, 1)
})

t.test('a silent node costs a retryable error', async t => {
  const nats = await startNats(t)
  const times = { executed: 0 }
  const { server } = await openServer(t, nats, { wrap: bus => hesitant(bus, times, 2_500) })
  const { bus } = await openRemote(t, nats, { limits: { tryMs: 250, timeoutMs: 1_000 } })
  await until(() => bus.isServed)
  await t.rejects(create(bus, 'c1'), { code: 'UNAVAILABLE' })
  const next = await openServer(t, nats)
  await server.stop()
  t.match(await create(bus, 'c2'), { seq: 1 }, 'others answer')
  t.equal(
    await next.states.currentConversation('c1'),
    undefined,
    'an abandoned command is not executed later',
  )
})

t.test('a node that dies while it leaves blocks its conversations no longer than one that dies', async t => {
  const nats = await startNats(t)
  const way = await nats.proxy()
  const times = { executed: 0 }
  const end = Promise.withResolvers<void>()
  const never = (bus: CommandBus): CommandBus => ({
    ...bus,
    execute: async () => {
      times.executed++
      await end.promise
      throw new ConfabError('UNAVAILABLE')
    },
  })
  const leaving = await openServer(t, nats, { url: way.url, wrap: never })
  const { bus } = await openRemote(t, nats)
  await until(() => bus.isServed)
  const underWay = create(bus, 'c1')
  await until(() => times.executed === 1)
  await openServer(t, nats)
  void leaving.server.stop()
  await sleep(1_000)
  way.block(true)
  t.same(await underWay, { seq: 1, duplicate: false })
  end.resolve()
})

t.test('a command that another node has answered meanwhile is not executed by a late one', async t => {
  const nats = await startNats(t)
  const way = await nats.proxy()
  const times = { executed: 0 }
  const late = await openServer(t, nats, { url: way.url, wrap: bus => hesitant(bus, times, 1_000) })
  const other = await openServer(t, nats)
  const { bus } = await openRemote(t, nats)
  await until(() => bus.isServed)
  // A channel whose commands go to the slow process.
  let c = ''
  for (let i = 0; times.executed === 0; i++) {
    c = `c${i}`
    await bus.execute({ id: '1', t: 'create', c, kind: 'channel', members: ['bob'] }, { from: 'alice', at })
  }
  const joining = bus.execute({ id: '1', t: 'join', c }, { from: 'bob', at })
  await until(() => times.executed === 2)
  way.cut()
  t.same(await joining, { seq: 1 }, 'bob is a member already, says the other')
  t.equal(times.executed, 2)
  await other.bus.execute({ id: '1', t: 'leave', c }, { from: 'bob', at })
  await sleep(1_500)
  t.equal((await other.states.currentConversation(c))?.roleOf('bob'), undefined, 'bob stays out')
  t.equal((await late.stored(c)).length, 2)
})

t.test('an invalid command is refused, and does no harm', async t => {
  const nats = await startNats(t)
  const { connected } = await openServer(t, nats)
  const { bus } = await openRemote(t, nats)
  const members: string[] = []
  const listening = connected.connection.subscribe('cmd.members', {
    callback: (_error, msg) => void members.push((msg.json() as { member: string }).member),
  })
  await until(() => members.length > 0)
  listening.unsubscribe()
  const envelope = { call: '1', id: 'k', from: 'alice', at, ttl: 1_000 }
  for (const [body, code] of [
    ['nonsense', 'BAD_REQUEST'],
    ['{}', 'BAD_REQUEST'],
    [JSON.stringify({ ...envelope, from: 7, request: { id: '1', t: 'join', c: 'c1' } }), 'BAD_REQUEST'],
    // As an edge node of another version may send.
    [JSON.stringify({ ...envelope, request: { id: '1', t: 'fly' } }), 'UNAVAILABLE'],
    [
      JSON.stringify({ ...envelope, request: { id: '1', t: 'send', c: 'c 1', m: 'm', text: 'x' } }),
      'UNAVAILABLE',
    ],
  ] as const) {
    const answer = await connected.connection.request(`cmd.to.${members[0]}`, body)
    t.match(answer.json(), { error: { code } }, body)
  }
  for (const word of ['nonsense', '{"member":"a b","state":"here","at":1}', '{"state":"gone"}', 'null'])
    connected.connection.publish('cmd.members', word)
  t.match(await create(bus, 'c1'), { seq: 1 })
})

const conversations = ['c1', 'c2', 'c3']
const step: fc.Arbitrary<Step> = fc.record({
  from: arbitraryUser,
  c: fc.constantFrom(...conversations),
  wish: arbitraryWish,
  node: fc.nat({ max: 1 }),
})

const disturbed = async (t: Test, whom: 'edges' | 'deciders'): Promise<void> => {
  const nats = await startNats(t)
  const ways = await Promise.all(range(1, 2).map(() => nats.proxy()))
  const url = (i: number, side: typeof whom) => (whom === side ? ways[i]!.url : undefined)
  for (const i of [0, 1]) await openServer(t, nats, { url: url(i, 'deciders') })
  const edges = [
    await openRemote(t, nats, { url: url(0, 'edges'), limits: { tryMs: 500 } }),
    await openRemote(t, nats, { url: url(1, 'edges'), limits: { tryMs: 500 } }),
  ]
  const nodes = edges
  const wish = { t: 'create' as const, kind: 'channel' as const, members: ['bob', 'carol'] }
  await runClients(
    () => nodes,
    conversations.map(c => [{ from: 'alice', c, wish, node: 0 }]),
  )
  const calm = ways.map(way => way.cutAtRandom(300))
  const clients = fc.sample(fc.array(step, { minLength: 60, maxLength: 60, size: 'max' }), 30)
  const running = runClients(() => nodes, clients)
  await Promise.race([running, sleep(4_000)])
  for (const stop of calm) stop()
  const outcomes = await running
  t.ok(
    edges.some(({ bus }) => bus.resent > 0),
    'some commands had to be sent again',
  )
  const steady = await openLocal(t, nats)
  await checkLog(t, steady.log, conversations, outcomes, [...nodes, steady])
}

t.test('edges whose connections are cut at random', t => disturbed(t, 'edges'))

t.test('commands nodes whose connections are cut at random', t => disturbed(t, 'deciders'))
