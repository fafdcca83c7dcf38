import { setTimeout as delay } from 'node:timers/promises'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { createCommandBus, createLogLookup, createStates } from '../../src/commands/index.ts'
import {
  discoverLog,
  JetStreamEventLog,
  JetStreamSnapshots,
  NatsLiveFeed,
} from '../../src/infra/nats/index.ts'
import { startNats, type TestNats } from '../harness/nats.ts'
import { arbitraryUser, arbitraryWish } from './arbitrary-commands.ts'
import { type BusNode, checkLog, runClients, type Step } from './bus-under-load.ts'

/** A node with a connection, log, feed and cache of its own. */
const startNode = async (
  t: Test,
  nats: TestNats,
  url = nats.url,
): Promise<BusNode & { log: JetStreamEventLog }> => {
  const connected = await nats.connect(url)
  const layout = await discoverLog(connected.connection)
  const log = new JetStreamEventLog(connected, layout, { timeoutMs: 500 })
  const feed = new NatsLiveFeed(connected, layout)
  const limits = { batchFrom: 6, batchMost: 20, snapshotEvery: 50 }
  const states = createStates({ log, snapshots: new JetStreamSnapshots(connected), feed, limits })
  const bus = createCommandBus({
    log,
    lookup: createLogLookup(log),
    states,
    limits,
  })
  await feed.start()
  t.teardown(async () => {
    await feed.stop()
    log.close()
  })
  return { bus, states, log }
}

const conversations = ['c1', 'c2', 'c3']

const step: fc.Arbitrary<Step> = fc.record({
  from: arbitraryUser,
  c: fc.constantFrom(...conversations),
  wish: arbitraryWish,
  node: fc.nat({ max: 1 }),
})

const clientsOf = (clients: number, steps: number): Step[][] =>
  fc.sample(fc.array(step, { minLength: steps, maxLength: steps, size: 'max' }), clients)

const create = async (nodes: readonly BusNode[]): Promise<void> => {
  const wish = { t: 'create' as const, kind: 'channel' as const, members: ['bob', 'carol'] }
  await runClients(
    () => nodes,
    conversations.map(c => [{ from: 'alice', c, wish, node: 0 }]),
  )
}

t.test('two nodes on one JetStream', async t => {
  const nats = await startNats(t)
  const one = await startNode(t, nats)
  const two = await startNode(t, nats)
  const nodes = [one, two]
  await create(nodes)
  const outcomes = await runClients(() => nodes, clientsOf(30, 40))
  await checkLog(t, one.log, conversations, outcomes, nodes)
})

t.test('two nodes whose connections are cut at random', async t => {
  const nats = await startNats(t)
  const proxies = [await nats.proxy(), await nats.proxy()]
  const cut = await Promise.all(proxies.map(proxy => startNode(t, nats, proxy.url)))
  const nodes = cut
  await create(nodes)
  const calm = proxies.map(proxy => proxy.cutAtRandom(1_000))
  const running = runClients(() => nodes, clientsOf(20, 30))
  await Promise.race([running, delay(4_000)])
  for (const stop of calm) stop()
  const outcomes = await running
  const steady = await startNode(t, nats)
  await checkLog(t, steady.log, conversations, outcomes, [...nodes, steady])
})

t.test('kill -9 of the server, and a new node', async t => {
  const nats = await startNats(t)
  const nodes = [await startNode(t, nats), await startNode(t, nats)]
  await create(nodes)
  let isOver = false
  const running = runClients(() => nodes, clientsOf(12, 80)).finally(() => {
    isOver = true
  })
  for (let round = 0; round < 3 && !isOver; round++) {
    await delay(Math.random() * 300)
    await nats.kill9()
    await delay(Math.random() * 300)
    await nats.restart()
    if (round === 0) nodes[1] = await startNode(t, nats)
  }
  const outcomes = await running
  const fresh = await startNode(t, nats)
  await checkLog(t, fresh.log, conversations, outcomes, [...nodes, fresh])
})
