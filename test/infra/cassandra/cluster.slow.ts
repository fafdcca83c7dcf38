import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { cassandraStatus, migrateCassandra, openCassandra } from '../../../src/infra/cassandra/index.ts'
import { openFeeds, type Views } from '../../../src/projections/index.ts'
import { historyOf, stepsOf } from '../../projections/history.ts'
import { modelOf } from '../../projections/model-views.ts'
import { readAll } from '../../projections/read-views.ts'
import { optionsFor } from './keyspace.ts'
import { ownNodes } from './own-nodes.ts'

const [steps = []] = fc.sample(stepsOf(900, 900), { numRuns: 1, seed: 31 })
const streams = historyOf(steps)

t.test('three replicas on three nodes, one of them killed, another suspended: no failed writes', async t => {
  const nodes = await ownNodes(t)
  if (nodes === undefined) return
  for (const node of [2, 3]) await nodes.start(node)
  const options = {
    ...optionsFor({ host: '127.0.0.1', port: nodes.port }),
    contactPoints: ['127.0.0.1', '127.0.0.2', '127.0.0.3'].map(host => `${host}:${nodes.port}`),
  }
  await migrateCassandra(options, { replicationFactor: 1 })
  t.match(await migrateCassandra(options, { replicationFactor: 3 }), { replicationChanged: true })
  t.match(await migrateCassandra(options), { replicationChanged: false })
  t.match(await cassandraStatus(options), { replication: { datacenter1: 3 } })

  const { stores, viewsAt, close } = await openCassandra(options)
  t.teardown(close)
  const feeds = await openFeeds(stores)
  const epoch = await stores.checkpoints.claim('CONV_0')
  const events = Object.values(streams)
    .flat()
    .map(stored => ({ stored, event: JSON.parse(Buffer.from(stored.data).toString()) }))
  const failures: unknown[] = []
  let [batches, slowestMs, next] = [0, 0, 0]
  /** Writes the next part of the history, a few events at a time, each at most once. */
  const write = async (until: number): Promise<void> => {
    for (const last = events.length * until; next < last; next += 4) {
      const startedAt = performance.now()
      for (const feed of feeds) {
        const changes = feed.begin()
        for (const event of events.slice(next, next + 4)) changes.add(event)
        await changes.write().catch(error => failures.push(error))
      }
      const checkpoint = { projection: 'inbox', generation: 1, version: 1, deadLetters: 0 } as const
      await stores.checkpoints
        .save([{ ...checkpoint, stream: 'CONV_0', streamSeq: next + 1 }], epoch)
        .catch(error => failures.push(error))
      batches++
      slowestMs = Math.max(slowestMs, performance.now() - startedAt)
    }
  }

  await write(0.2)
  const first = write(0.6)
  await sleep(100)
  await nodes.signal(2, 'SIGKILL')
  await first
  t.same(
    failures,
    [],
    `${batches} batches with a node that was killed, the slowest took ${slowestMs.toFixed(0)} ms`,
  )
  t.same(
    (await cassandraStatus(options)).nodes
      .filter(({ reachable }) => !reachable)
      .map(({ address }) => address),
    [`127.0.0.2:${nodes.port}`],
    'the status names the unreachable one',
  )
  await nodes.start(2)

  slowestMs = 0
  const second = write(1)
  await sleep(100)
  await nodes.signal(3, 'SIGSTOP')
  await second
  t.same(
    failures,
    [],
    `${batches} batches with a node that was suspended, the slowest took ${slowestMs.toFixed(0)} ms`,
  )
  t.strictSame(await readAll(viewsAt() as Views), modelOf(streams).all, 'two of three answer completely')
  await nodes.signal(3, 'SIGCONT')

  // A fenced worker stays fenced, whichever nodes answer.
  await stores.checkpoints.claim('CONV_0')
  await t.rejects(
    stores.checkpoints.save(
      [{ projection: 'inbox', generation: 1, version: 1, stream: 'CONV_0', streamSeq: 9, deadLetters: 0 }],
      epoch,
    ),
    { name: 'FencedError' },
  )
})
