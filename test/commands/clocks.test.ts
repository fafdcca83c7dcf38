import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { conversationType } from '../../src/commands/domain/conversation-type.ts'
import { decideConversation } from '../../src/commands/domain/decide-conversation.ts'
import { importContext } from '../../src/commands/index.ts'
import {
  type ConversationRequest,
  decodeConversationEvent,
  decodeUserEvent,
  type UserRequest,
} from '../../src/events/index.ts'
import { MemoryEventLog, MemorySnapshotStore } from '../../src/infra/memory/index.ts'
import { at, command, group, run } from './given.ts'
import { type Asked, createGroup, type Node, send, setUp } from './one-node.ts'

const minute = 60_000
const hour = 60 * minute
const later = (ms: number): string => new Date(Date.parse(at) + ms).toISOString()

/** Executes a request with the time of a clock that is ahead by some ms. */
const execute = (node: Node, from: string, request: Asked, aheadMs: number): Promise<unknown> =>
  node.bus.execute({ id: '1', ...request } as ConversationRequest | UserRequest, { from, at: later(aheadMs) })

const conversationTimes = (log: MemoryEventLog): string[] =>
  log.stream('CONV_0').map(stored => decodeConversationEvent(stored).at)

t.test(
  'the time never falls within a conversation or a user, whatever the clocks of the nodes say',
  async t => {
    const ahead = fc.integer({ min: -2 * hour, max: 2 * hour })
    const step = fc.tuple(fc.nat({ max: 1 }), ahead, fc.constantFrom('send', 'rename', 'mute'))
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), async steps => {
        const log = new MemoryEventLog()
        const nodes = await Promise.all([setUp({ log }), setUp({ log })])
        await createGroup(nodes[0]!)
        const answers = await Promise.all(
          steps.map(([node, ms, what], i) => {
            const request: Asked =
              what === 'send'
                ? send(`m${i}`)
                : what === 'rename'
                  ? { t: 'rename', c: 'c1', title: `${i}` }
                  : { t: 'mute', c: 'c1', on: i % 2 === 0 }
            return execute(nodes[node]!, 'alice', request, ms)
          }),
        )
        const times = conversationTimes(log)
        const ofUser = log.stream('USER_0').map(stored => decodeUserEvent(stored).at)
        for (const list of [times, ofUser])
          if (list.some((time, i) => time < (list[i - 1] ?? ''))) throw new Error(`the time falls: ${list}`)
        for (const answer of answers as { seq?: number; at?: string }[])
          if (answer.at !== undefined && answer.at !== times[answer.seq! - 1])
            throw new Error('the answer has another time than the event')
      }),
      { numRuns: 50 },
    )
    t.pass()
  },
)

t.test('a snapshot keeps the time of the last event', async t => {
  const log = new MemoryEventLog()
  const snapshots = new MemorySnapshotStore()
  const limits = { snapshotEvery: 16 }
  const node = await setUp({ log, snapshots, limits })
  await createGroup(node)
  for (let i = 0; i < 15; i++) await execute(node, 'alice', send(`m${i}`), 2 * hour)
  t.equal((await snapshots.load({ family: 'conv', id: 'c1' }))?.streamSeq, 16, 'no event follows it')
  await execute(await setUp({ log, snapshots, limits }), 'alice', send('new'), 0)
  t.equal(conversationTimes(log).at(-1), later(2 * hour))
})

t.test('an import keeps its times, also between later ones, and is not delayed by slow mode', async t => {
  const node = await setUp()
  await createGroup(node)
  await node.as('alice', { t: 'settings', c: 'c1', slowModeSeconds: 3_600 })
  const times = ['2021-03-04T10:00:00.000Z', '2021-03-04T09:00:00.000Z', '2022-01-01T00:00:00.000Z']
  for (const [i, time] of times.entries())
    await node.bus.execute({ id: '1', ...send(`i${i}`) }, importContext('bob', time))
  await node.as('alice', send('m1'))
  t.same(conversationTimes(node.log), [at, at, ...times, at])
})

t.test('an import from the future gets the current time', async t => {
  const before = new Date().toISOString()
  const context = importContext('bob', '9999-12-31T00:00:00.000Z')
  t.ok(context.at >= before && context.at <= new Date().toISOString())
})

/** A group whose plain members post every 30 s, in which mia has posted at `at`, 1,000 ms by the monotonic clock. */
const slow = (isLive: boolean) => {
  const state = group()
  run(state, command('alice', { t: 'settings', slowModeSeconds: 30 }))
  const first = command('mia', { t: 'send', m: 'm1', text: 'hi' })
  const decision = decideConversation(state, first)
  if (!('event' in decision)) throw new Error('not posted')
  const position = { stream: 'CONV_0', streamSeq: 99, commandId: first.id }
  conversationType.evolve(state, decision.event, { ...position, seenAt: 1_000, isLive })
  return (aheadMs: number, now: number | undefined, from = 'mia') => {
    const wish = { t: 'send', m: 'm2', text: 'hi' } as const
    const next = decideConversation(state, command(from, wish, { at: later(aheadMs), now }))
    return 'refused' in next ? (next.retryAfterMs ?? 0) : 0
  }
}

t.test('with correct clocks, a wait is exact', async t => {
  for (const isLive of [true, false]) {
    const wait = slow(isLive)
    for (const ms of [0, 1, 15_000, 29_999, 30_000, hour])
      t.equal(wait(ms, 1_000 + ms), Math.max(30_000 - ms, 0), `${ms}`)
    t.equal(wait(10_000, undefined), 20_000, 'without a monotonic clock')
  }
  // The process received the message 900 ms after it was stored.
  t.equal(slow(true)(30_000, 30_100), 0)
})

t.test('a wait that was served is over, also when the clock was set back', async t => {
  for (const isLive of [true, false]) {
    const wait = slow(isLive)
    t.equal(wait(-2 * hour, 1_000), 30_000)
    t.equal(wait(-2 * hour, 21_000), 10_000)
    t.equal(wait(-2 * hour, 31_000), 0)
  }
})

t.test('a clock that is ahead does not shorten the wait after a message that the process saw', async t => {
  t.equal(slow(true)(minute, 1_000), 29_000)
  t.equal(slow(true)(minute, 20_000), 10_000)
})

t.test(
  'the entry of a member is kept until the wait is served, whatever the clock of another node says',
  async t => {
    const state = group()
    run(state, command('alice', { t: 'settings', slowModeSeconds: 30 }))
    const post = (from: string, aheadMs: number, now: number) => {
      const one = command(from, { t: 'send', m: `${from}-${now}`, text: 'hi' }, { at: later(aheadMs), now })
      const decision = decideConversation(state, one)
      if (!('event' in decision)) return 'refused' in decision ? decision.refused : 'unchanged'
      const position = { stream: 'CONV_0', streamSeq: now, commandId: one.id }
      conversationType.evolve(state, decision.event, { ...position, seenAt: now, isLive: true })
      return decision.event.type
    }
    t.equal(post('mia', 0, 1_000), 'message.posted')
    t.equal(post('max', minute, 2_000), 'message.posted')
    t.equal(post('mia', 5_000, 6_000), 'RATE_LIMITED')
    t.equal(post('mia', 30_000, 31_000), 'message.posted')
  },
)

t.test('two nodes whose clocks differ: a wait is neither longer nor skipped', async t => {
  for (const [one, other] of [
    [0, minute],
    [minute, 0],
    [2 * hour, 0],
  ] as const) {
    const log = new MemoryEventLog()
    const nodes = await Promise.all([setUp({ log }), setUp({ log })])
    await createGroup(nodes[0]!)
    await execute(nodes[0]!, 'alice', { t: 'settings', c: 'c1', slowModeSeconds: 30 }, one)
    await nodes[1]!.states.currentConversation('c1')
    await execute(nodes[0]!, 'bob', send('m1'), one)
    await t.rejects(execute(nodes[1]!, 'bob', send('m2'), other), { code: 'RATE_LIMITED' })
    await execute(nodes[0]!, 'alice', { t: 'settings', c: 'c1', slowModeSeconds: 1 }, one)
    await sleep(1_100)
    await execute(nodes[1]!, 'bob', send('m2'), other)
    t.equal(log.stream('CONV_0').length, 5)
  }
})

t.test(
  'a node that starts after the clock was set back delays a member once, by the interval at most',
  async t => {
    const log = new MemoryEventLog()
    const node = await setUp({ log })
    await createGroup(node)
    await node.as('alice', { t: 'settings', c: 'c1', slowModeSeconds: 1 })
    await execute(node, 'bob', send('m1'), 2 * hour)
    const next = await setUp({ log })
    await next.states.currentConversation('c1')
    await sleep(1_100)
    t.match(await execute(next, 'bob', send('m2'), 0), { seq: 4 })
  },
)
