import { setTimeout as wait } from 'node:timers/promises'
import { Client } from 'cassandra-driver'
import { openCassandra } from '../../src/infra/cassandra/index.ts'
import { discoverLog, NatsEventSource } from '../../src/infra/nats/index.ts'
import {
  type EventSource,
  openFeeds,
  ProjectionRunner,
  type TimelineChange,
  type TimelineStore,
  timelineProjection,
} from '../../src/projections/index.ts'
import { makeGroups } from '../harness/events.ts'
import { startNats } from '../harness/nats.ts'
import { ownKeyspace } from '../harness/store-servers.ts'
import { rawAppend } from '../limits/raw-append.ts'
import { insertTables, type RawTable, readTables } from '../limits/raw-cassandra.ts'
import type { Row } from '../row.ts'

const groups = 500
const members = 20
const batch = 2_000
/** The driver's best on two cores: 128 to 1,024 were tried. */
const rawAtOnce = 512

const timelineTables = ['timeline', 'timeline_message', 'timeline_head']
const otherTables = [
  'inbox_conversation',
  'inbox_message',
  'inbox_amendment',
  'inbox_entry',
  'read_state',
  'roster',
  'roster_user',
]

const silent = { info: () => {}, warn: () => {}, error: () => {} }

/** Returns the timeline changes of a log, computed beforehand. */
const timelineOf = async (source: EventSource): Promise<TimelineChange[]> => {
  const changes: TimelineChange[] = []
  for (const { stream, last } of await source.streams()) {
    if (last === 0) continue
    for await (const events of source.consume(stream, 0, { signal: new AbortController().signal })) {
      for (const stored of events)
        changes.push(
          ...timelineProjection.apply({ stored, event: JSON.parse(Buffer.from(stored.data).toString()) }),
        )
      if ((events.at(-1)?.streamSeq ?? 0) >= last) break
    }
  }
  return changes
}

const timeOf = async (work: () => Promise<void>): Promise<number> => {
  const startedAt = performance.now()
  await work()
  return performance.now() - startedAt
}

export const cassandraRow: Row = {
  name: 'cassandra',
  figures: [
    { path: 'Cassandra, timeline', unit: 'events/s', target: { rule: 'ratio at least', value: 0.7 } },
    { path: 'Cassandra, all four views', unit: 'events/s', target: { rule: 'ratio at least', value: 0.5 } },
  ],
  prepare: async ({ quick, tell, defer }) => {
    const options = await ownKeyspace(defer)
    const nats = await startNats()
    defer(nats.stop)
    const own = await nats.connect()
    const subjects = makeGroups(groups, members, quick ? 5_000 : 20_000)
    await rawAppend(own.connection, subjects)
    const source = new NatsEventSource(own, await discoverLog(own.connection))
    defer(() => source.close())
    const changes = await timelineOf(source)
    const events = changes.length
    const { stores, close } = await openCassandra(options)
    defer(close)
    const raw = new Client({
      contactPoints: [...options.contactPoints],
      localDataCenter: options.dataCenter,
      keyspace: options.keyspace,
      queryOptions: { consistency: 6 }, // LOCAL_QUORUM, like confab.
    })
    defer(() => raw.shutdown())
    await raw.connect()
    const feeds = await openFeeds(stores)
    const timeline: TimelineStore = await stores.open('timeline', 1)
    let rows: { timeline: RawTable[]; others: RawTable[] } | undefined

    const empty = async (): Promise<void> => {
      for (const feed of feeds) await feed.clear()
      for (const { projection, generation } of await stores.checkpoints.load())
        await stores.checkpoints.remove(projection, generation)
    }
    const projectAll = async (): Promise<void> => {
      const runner = new ProjectionRunner({ source, stores, log: silent, feeds, batch })
      await runner.start()
      const streams = () => runner.status().flatMap(projection => projection.streams)
      while (streams().some(({ position, head }) => position < head)) await wait(2)
      if (streams().some(({ deadLetters }) => deadLetters > 0)) throw new Error('there are dead letters')
      await runner.stop()
    }

    return {
      ours: async () => {
        await empty()
        const timelineMs = await timeOf(async () => {
          for (let from = 0; from < events; from += batch)
            await timeline.apply(changes.slice(from, from + batch))
        })
        await empty()
        const allMs = await timeOf(projectAll)
        if (rows === undefined) {
          rows = {
            timeline: await readTables(raw, timelineTables),
            others: await readTables(raw, otherTables),
          }
          const count = (tables: RawTable[]) => tables.reduce((sum, table) => sum + table.rows.length, 0)
          tell(
            `${events} events: ${count(rows.timeline)} rows of the timeline, ${count(rows.others)} of the others`,
          )
        }
        return [(events * 1000) / timelineMs, (events * 1000) / allMs]
      },
      limit: async () => {
        await empty()
        const timelineMs = await insertTables(raw, rows?.timeline ?? [], rawAtOnce)
        const othersMs = await insertTables(raw, rows?.others ?? [], rawAtOnce)
        return [(events * 1000) / timelineMs, (events * 1000) / (timelineMs + othersMs)]
      },
    }
  },
}
