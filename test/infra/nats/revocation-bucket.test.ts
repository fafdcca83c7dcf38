import { setTimeout as sleep } from 'node:timers/promises'
import { jetstreamManager } from '@nats-io/jetstream'
import { headers } from '@nats-io/transport-node'
import t from 'tap'
import {
  applyBuckets,
  createSessionQueries,
  type Nats,
  openRevocationBucket,
  type Revocation,
} from '../../../src/infra/nats/index.ts'
import { startNats } from '../../harness/nats.ts'

const hour = 3_600_000

const open = async (t: { teardown(fn: () => unknown): void }, nats: Nats, keepMs = hour) => {
  const store = await openRevocationBucket(nats, { keepMs })
  t.teardown(() => store.close())
  const heard: Revocation[] = []
  return { store, heard, follow: () => store.follow(revocation => heard.push(revocation)) }
}

t.test('followers have the stored revocations when `follow` resolves, and receive later ones', async t => {
  const nats = await startNats(t)
  const writer = await open(t, await nats.connect())
  t.equal(writer.store.isCurrent, false)
  await writer.store.put({ of: 'user', user: 'alice', before: 100 })
  await writer.store.put({ of: 'user', user: 'alice', before: 50 })
  await writer.store.put({ of: 'token', user: 'alice', token: 'abc' })
  await writer.store.put({ of: 'everyone', before: 7 })
  const { store, heard, follow } = await open(t, await nats.connect())
  await follow()
  t.match(heard, [
    { of: 'user', user: 'alice', before: 100 },
    { of: 'token', user: 'alice', token: 'abc' },
    { of: 'everyone', before: 7 },
  ])
  t.equal(store.isCurrent, true)
  await writer.store.put({ of: 'user', user: 'bob', before: 1 })
  while (heard.length < 4) await sleep(10)
  t.match(heard[3], { user: 'bob' })
  store.close()
  t.equal(store.isCurrent, false)
})

t.test('a node that may create neither buckets nor consumers', async t => {
  const nats = await startNats(t, { hasUsers: true })
  const admin = await nats.connect()
  await applyBuckets(admin, { revocationsMs: hour })
  const writer = await open(t, await nats.connectAs('edge'))
  for (let n = 0; n < 200; n++) await writer.store.put({ of: 'user', user: `user-${n % 150}`, before: n })
  const { store, heard, follow } = await open(t, await nats.connectAs('edge'))
  await follow()
  t.equal(heard.length, 150, 'each once')
  t.equal(store.isCurrent, true)
  const operator = await open(t, admin)
  await operator.store.put({ of: 'everyone', before: 7 })
  while (heard.length < 151) await sleep(10)
  t.match(heard.at(-1), { of: 'everyone', before: 7 })
  await t.rejects(writer.store.put({ of: 'everyone', before: 8 }), /Permissions Violation/)
  const { connection } = await nats.connectAs('edge')
  const rollup = headers()
  rollup.set('Nats-Rollup', 'all')
  const answer = await connection.request('$KV.confab-revocations.user.x', '', {
    headers: rollup,
    timeout: 3_000,
  })
  t.match(answer.string(), /rollup not permitted/, 'revocations cannot be removed at once')
  await t.rejects(open(t, await nats.connectAs('edge'), 2 * hour), {
    code: 'NATS_RIGHTS',
    message: /STREAM\.UPDATE\.KV_confab-revocations: run "confab streams apply" as a user who may/,
  })
})

t.test('an empty bucket is read at once, and values of other forms are ignored', async t => {
  const nats = await startNats(t)
  const connection = await nats.connect()
  const { store, heard, follow } = await open(t, connection)
  await follow()
  for (const value of [
    '',
    'no',
    '{}',
    '{"of":"user","user":"a.b","before":1,"at":1}',
    '{"of":"token","user":"a"}',
  ])
    connection.connection.publish('$KV.confab-revocations.user.x', value)
  await connection.connection.flush()
  await store.put({ of: 'user', user: 'alice', before: 1 })
  while (heard.length === 0) await sleep(10)
  t.match(heard, [{ user: 'alice' }])
})

t.test('the bucket keeps revocations for the longest lifetime of any node', async t => {
  const nats = await startNats(t)
  const connection = await nats.connect()
  const ageOf = async () => {
    const manager = await jetstreamManager(connection.connection)
    return (await manager.streams.info('KV_confab-revocations')).config.max_age / 1e6
  }
  for (const [keepMs, expected] of [
    [hour, hour],
    [3 * hour, 3 * hour],
    [2 * hour, 3 * hour],
  ] as const) {
    await open(t, connection, keepMs)
    t.equal(await ageOf(), expected)
  }
})

t.test('a write without a connection is rejected at once', async t => {
  const nats = await startNats(t)
  const { store } = await open(t, await nats.connect())
  await nats.kill9()
  for (;;)
    try {
      await store.put({ of: 'everyone', before: 1 })
    } catch (error) {
      t.ok(error)
      break
    }
  await nats.restart()
})

t.test('queries: no node, and nodes that answer late or not at all', async t => {
  const nats = await startNats(t)
  const connections = await Promise.all([1, 2, 3].map(() => nats.connect()))
  const [one, two, asker] = connections.map(createSessionQueries)
  const answerOf = (node: string) => ({ node, connected: 0, matching: 0, sessions: [] })
  t.same(await asker!.ask({ limit: 1 }, 0), [])
  const end = one!.answer(async ({ user }) => answerOf(`one ${user}`))
  two!.answer(async () => {
    await sleep(50)
    return answerOf('two')
  })
  // The server has the subscriptions.
  await Promise.all(connections.map(({ connection }) => connection.flush()))
  const nodes = async (count: number) =>
    (await asker!.ask({ user: 'alice', limit: 1 }, count)).map(({ node }) => node).sort()
  t.same(await nodes(2), ['one alice', 'two'])
  t.same(await nodes(0), ['one alice', 'two'])
  t.same(await nodes(3), ['one alice', 'two'], 'a node that is gone')
  end()
  t.same(await nodes(2), ['two'])
})
