import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { migrateCassandra, openCassandra } from '../../../src/infra/cassandra/index.ts'
import {
  compareGenerations,
  openFeeds,
  ProjectionRunner,
  type Views,
} from '../../../src/projections/index.ts'
import { historyOf, stepsOf } from '../../projections/history.ts'
import { MemorySource } from '../../projections/memory-source.ts'
import { modelOf } from '../../projections/model-views.ts'
import { readAll } from '../../projections/read-views.ts'
import { quiet, runToEnd, untilLevel } from '../../projections/run-to-end.ts'
import { optionsFor } from './keyspace.ts'
import { ownNodes } from './own-nodes.ts'

const [steps = []] = fc.sample(stepsOf(3_000, 3_000), { numRuns: 1, seed: 9 })
const streams = historyOf(steps)

t.test('kill -9 and SIGSTOP of the node during a load', { timeout: 180_000 }, async t => {
  // A write that one node acknowledged survives its death only with a synced commit log.
  const nodes = await ownNodes(t, { CASSANDRA_COMMITLOG: 'batch' })
  if (nodes === undefined) return
  const options = optionsFor({ host: '127.0.0.1', port: nodes.port })
  await migrateCassandra(options, { replicationFactor: 1 })
  const { stores, viewsAt, close } = await openCassandra(options)
  t.teardown(close)
  const source = new MemorySource(streams)
  const runner = new ProjectionRunner({ source, stores, log: quiet, batch: 8, retryMs: 50 })
  await runner.start()
  const inbox = () => runner.status().find(({ projection }) => projection === 'inbox')?.streams ?? []
  const applied = () => inbox().reduce((sum, { position }) => sum + position, 0)
  const all = Object.values(streams).reduce((sum, events) => sum + (events.at(-1)?.streamSeq ?? 0), 0)
  const failing = async () => {
    while (!inbox().some(({ state }) => state === 'failing')) await sleep(10)
    t.match(inbox().find(({ state }) => state === 'failing')?.reason, /^The views' Cassandra: /)
  }

  while (applied() < all / 5) await sleep(5)
  await nodes.signal(1, 'SIGKILL')
  t.ok(applied() < all, `${applied()} of ${all} events were applied when it was killed`)
  await failing()
  await nodes.start(1)
  const back = applied()
  while (applied() < Math.max(back + 1, (3 * all) / 5)) await sleep(5)

  await nodes.signal(1, 'SIGSTOP')
  t.ok(applied() < all, `${applied()} of ${all} events were applied when it was stopped`)
  await failing()
  await nodes.signal(1, 'SIGCONT')
  await untilLevel(runner, source)
  await runner.stop()

  t.strictSame(await readAll(viewsAt() as Views), modelOf(streams).all)
  const fresh = { timeline: 2, inbox: 2, 'read-state': 2, roster: 2 }
  const feeds = await openFeeds(stores, fresh)
  const again = new MemorySource(streams)
  await runToEnd(new ProjectionRunner({ source: again, stores, log: quiet, feeds }), again)
  for (const projection of stores.projections) {
    const [a, b] = [await stores.open(projection, 1), await stores.open(projection, 2)]
    const { rows, different } = await compareGenerations(
      () => a.rows(),
      () => b.rows(),
    )
    t.same([rows.a - rows.b, different], [0, []], `${rows.a} rows of ${projection} equal a fresh replay`)
  }
})

t.test('wrong credentials', { timeout: 120_000 }, async t => {
  // The last test: the driver keeps retrying hosts that it forgot while their node was down, and its timers keep the
  // process alive.
  t.teardown(() => setTimeout(() => process.exit(), 5_000).unref())
  const nodes = await ownNodes(t, { CASSANDRA_AUTH: '1' })
  if (nodes === undefined) return
  const options = optionsFor({ host: '127.0.0.1', port: nodes.port })
  const right = { ...options, username: 'cassandra', password: 'cassandra' }
  // The role is created a moment after the node is up.
  for (const until = Date.now() + 60_000; ; await sleep(500)) {
    const done = await migrateCassandra(right, { replicationFactor: 1 }).catch(error => error as Error)
    if (!(done instanceof Error)) break
    if (Date.now() > until) throw done
  }
  const refused = { code: 'CASSANDRA_CREDENTIALS', message: /cassandra\.username/ }
  await t.rejects(openCassandra({ ...options, username: 'cassandra', password: 'wrong' }), refused)
  await t.rejects(openCassandra({ ...options, username: 'nobody', password: 'x' }), refused)
  await t.rejects(openCassandra(options), refused)
  const opened = await openCassandra(right)
  t.same(await opened.stores.checkpoints.load(), [])
  await opened.close()
})
