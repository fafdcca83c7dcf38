import fc from 'fast-check'
import t from 'tap'
import { createCommandBus, createLogLookup, createStates } from '../../src/commands/index.ts'
import {
  ConfabError,
  type ConversationEvent,
  type ConversationRequest,
  decodeConversationEvent,
  type UserRequest,
} from '../../src/events/index.ts'
import {
  discoverLog,
  JetStreamEventLog,
  JetStreamSnapshots,
  NatsEventSource,
  NatsLiveFeed,
} from '../../src/infra/nats/index.ts'
import { startNats } from '../harness/nats.ts'
import { at } from './given.ts'

const nats = await startNats(t)

/** A node with a connection, states and a feed of its own, on the one log. */
const startNode = async () => {
  const connected = await nats.connect()
  const layout = await discoverLog(connected.connection)
  const log = new JetStreamEventLog(connected, layout)
  const feed = new NatsLiveFeed(connected, layout)
  const states = createStates({ log, snapshots: new JetStreamSnapshots(connected), feed })
  const bus = createCommandBus({ log, lookup: createLogLookup(log), states })
  await feed.start()
  const source = new NatsEventSource(connected, layout)
  t.teardown(async () => {
    source.close()
    await feed.stop()
    log.close()
  })
  return { bus, states, source }
}
const nodes = [await startNode(), await startNode()] as const

/** Returns the direct conversations in the log, with their members. */
const directs = async (): Promise<{ c: string; members: string[] }[]> => {
  const { source } = nodes[0]
  const found: { c: string; members: string[] }[] = []
  for (const { stream, first, last } of await source.streams())
    if (last > 0)
      for await (const batch of source.range(stream, first - 1, last))
        for (const stored of batch) {
          if (stored.envelope.type !== 'conversation.created') continue
          const event = decodeConversationEvent(stored) as Extract<
            ConversationEvent,
            { type: 'conversation.created' }
          >
          if (event.kind === 'direct')
            found.push({ c: event.c, members: event.members.map(({ user }) => user).sort() })
        }
  return found
}

const step = fc.record({
  node: fc.nat(1),
  isFirst: fc.boolean(),
  act: fc.constantFrom('direct', 'direct', 'create', 'create', 'create the same', 'taken by others'),
  /** Whether the step waits for the ones before it. */
  waits: fc.boolean(),
})

let pairs = 0

t.test('any interleaving of both users on two nodes ends with one conversation that both know', async t => {
  const runs = fc.sample(fc.array(step, { minLength: 2, maxLength: 10 }), 60)
  for (const steps of runs) {
    const pair = ++pairs
    const [one, other] = [`one-${pair}`, `other-${pair}`]
    const own = [one, other].sort()
    /** The conversation that each answer names; undefined for a refusal that names none. */
    const named: (string | undefined)[] = []
    const execute = async (i: number): Promise<void> => {
      const { node, isFirst, act } = steps[i]!
      const [from, peer] = isFirst ? [one, other] : [other, one]
      const { bus } = nodes[node as 0 | 1]
      const run = (request: object, user = from) =>
        bus.execute({ id: '1', ...request } as ConversationRequest | UserRequest, { from: user, at })
      const c = act === 'create' ? `c-${pair}-${i}` : `c-${pair}`
      try {
        if (act === 'direct') named.push(((await run({ t: 'direct', user: peer })) as { c: string }).c)
        else if (act === 'taken by others') await run({ t: 'create', c, kind: 'group', members: own }, 'eve')
        else {
          await run({ t: 'create', c, kind: 'direct', members: [peer] })
          named.push(c)
        }
      } catch (error) {
        if (!ConfabError.is(error) || error.code !== 'ALREADY_EXISTS') throw error
        named.push(error.c)
      }
    }
    let running: Promise<void>[] = []
    for (const [i, { waits }] of steps.entries()) {
      if (waits) {
        await Promise.all(running)
        running = []
      }
      running.push(execute(i))
    }
    await Promise.all(running)
    const answers = named.filter(c => c !== undefined)
    const mine = (await directs()).filter(({ members }) => members.join() === own.join())
    const seen = JSON.stringify({ steps, named, mine })
    if (answers.length > 0) t.equal(mine.length, 1, seen)
    else t.ok(mine.length <= 1, seen)
    t.ok(
      answers.every(c => c === mine[0]?.c),
      seen,
    )
    const [last] = mine
    for (const [i, user] of own.entries()) {
      if (last === undefined) continue
      const view = await nodes[i as 0 | 1].states.currentConversation(last.c)
      t.ok(view?.roleOf(user) !== undefined, `${user} is in it`)
      const peer = own[1 - i]!
      const answer = await nodes[i as 0 | 1].bus.execute(
        { id: '1', t: 'direct', user: peer },
        { from: user, at },
      )
      t.same(answer, { c: last.c, seq: 1, created: false })
    }
  }
})
