import { cpus } from 'node:os'
import { setTimeout as wait } from 'node:timers/promises'
import { openCassandra } from '../../src/infra/cassandra/index.ts'
import { openElasticsearch } from '../../src/infra/elasticsearch/index.ts'
import { discoverLog, NatsEventSource } from '../../src/infra/nats/index.ts'
import { ProjectionRunner, type ViewStores } from '../../src/projections/index.ts'
import { makeGroups } from '../harness/events.ts'
import { startNats } from '../harness/nats.ts'
import { ownIndices, ownKeyspace } from '../harness/store-servers.ts'
import { rawAppend } from '../limits/raw-append.ts'
import type { Row } from '../row.ts'

const quiet = { info: () => {}, warn: () => {}, error: () => {} }

const empty = async (stores: ViewStores): Promise<void> => {
  for (const projection of stores.projections) {
    await (await stores.open(projection, 1)).clear()
    await stores.checkpoints.remove(projection, 1)
  }
}

/** Builds a database's views from the first event to the last; returns the elapsed ms. */
const catchUp = async (source: NatsEventSource, stores: ViewStores): Promise<number> => {
  const startedAt = performance.now()
  const runner = new ProjectionRunner({ source, stores, log: quiet, headEveryMs: 100 })
  await runner.start()
  const streams = () => runner.status().flatMap(projection => projection.streams)
  while (streams().some(({ position, head }) => position < head)) await wait(5)
  const took = performance.now() - startedAt
  if (streams().some(({ deadLetters }) => deadLetters > 0)) throw new Error('there are dead letters')
  await runner.stop()
  return took
}

/** CPU seconds of all processes together, and of this one. */
const cpuSeconds = () => {
  const all = cpus().reduce((sum, { times: { user, nice, sys, irq } }) => sum + user + nice + sys + irq, 0)
  const { user, system } = process.cpuUsage()
  return { all: all / 1000, own: (user + system) / 1e6 }
}

export const catchUpRow: Row = {
  name: 'catch-up',
  mostRounds: 1,
  figures: [
    {
      path: 'catch-up from zero, all views on Cassandra and Elasticsearch at once',
      unit: 'events/s',
      target: { rule: 'ratio at least', value: 0.8 },
    },
  ],
  prepare: async ({ quick, tell, defer }) => {
    const keyspace = await ownKeyspace(defer)
    const indices = await ownIndices(defer)
    const nats = await startNats()
    defer(nats.stop)
    const own = await nats.connect()
    const messages = quick ? 10_000 : 200_000
    await rawAppend(own.connection, makeGroups(500, 20, messages))
    const source = new NatsEventSource(own, await discoverLog(own.connection))
    defer(() => source.close())
    const events = (await source.streams()).reduce((sum, { last }) => sum + last, 0)
    const cassandra = await openCassandra(keyspace)
    defer(cassandra.close)
    const elasticsearch = openElasticsearch(indices)
    defer(elasticsearch.close)
    const both = [cassandra.stores, elasticsearch.stores]
    const rate = (ms: number): string =>
      `${Math.round((events * 1000) / ms).toLocaleString('en-GB')} events/s`

    return {
      ours: async () => {
        for (const stores of both) await empty(stores)
        const before = cpuSeconds()
        const startedAt = performance.now()
        const took = await Promise.all(both.map(stores => catchUp(source, stores)))
        const ms = performance.now() - startedAt
        const after = cpuSeconds()
        const share = (seconds: number): string => `${Math.round((seconds * 100_000) / ms)} %`
        tell(
          `${events} events: ${both.map(({ name }, i) => `${name} ${rate(took[i] ?? 0)}`).join(', ')}; of a core, this process ${share(after.own - before.own)}, the stores and the log ${share(after.all - before.all - (after.own - before.own))}`,
        )
        return [(events * 1000) / ms]
      },
      // One after the other.
      limit: async () => {
        let ms = 0
        for (const stores of both) {
          await empty(stores)
          ms += await catchUp(source, stores)
        }
        return [(events * 1000) / ms]
      },
    }
  },
}
