import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { livePrefix, partitionOf, subjectOf } from '../../src/events/index.ts'
import type { AppendJob } from '../harness/appender.ts'
import { startScript } from '../harness/children.ts'
import { openFeed } from '../harness/feeds.ts'
import { openListeningEdge } from '../harness/listening-edge.ts'
import { startNats } from '../harness/nats.ts'
import type { Row, Sample } from '../row.ts'

const conversations = 2_000
const appender = fileURLToPath(new URL('../harness/appender.ts', import.meta.url))
const digester = fileURLToPath(new URL('../harness/digester.ts', import.meta.url))
/** Share of the conversations with local interest, in percent, where not all events are skipped. */
const wantedPercent = 10
const everything = `${livePrefix}.conv.*.*`

const idsOf = (prefix: string, percent: number): string[] =>
  Array.from({ length: (conversations * percent) / 100 }, (_, n) => `${prefix}-${n}`)

/** Returns the live subjects of the first conversations of a prefix, by percent: one each, or their partitions. */
const subjectsOf = (prefix: string, percent: number, kind: 'conversation' | 'bucket'): string[] => {
  const ids = idsOf(prefix, percent)
  return kind === 'conversation'
    ? ids.map(id => `${livePrefix}.${subjectOf({ family: 'conv', id })}`)
    : [...new Set(ids.map(id => `${livePrefix}.conv.${partitionOf(id)}.*`))]
}

/**
 * Measures an edge's cost of receiving the whole system's events without local interest, and a feed's cost of
 * following a tenth of the conversations plus digests, beside one that follows everything. Also reports the cost of
 * subscriptions alone.
 */
export const interestRow: Row = {
  name: 'interest',
  figures: [
    {
      path: 'an event of the system without interest at the edge node, CPU',
      unit: 'µs',
      target: { rule: 'ratio at most', value: 2 },
    },
    {
      path: `an event of the system, ${wantedPercent} % with interest: narrow feed against everything, CPU`,
      unit: 'µs',
      target: { rule: 'ratio at most', value: 0.6 },
    },
  ],
  prepare: async ({ quick, tell, defer }) => {
    const nats = await startNats()
    defer(nats.stop)
    const child = startScript(appender, [nats.url])
    defer(child.stop)
    const digests = startScript(digester, [nats.url])
    defer(digests.stop)
    const each = quick ? 10 : 40
    const events = conversations * each
    let turn = 0

    /** CPU microseconds of this process per appended event, until `hasAll` returns true. */
    const cpuEach = async (prefix: string, hasAll: () => boolean): Promise<number> => {
      const before = process.cpuUsage()
      await child.ask({ prefix, conversations, each } satisfies AppendJob)
      while (!hasAll()) await sleep(5)
      const { user, system } = process.cpuUsage(before)
      return (user + system) / events
    }
    /** With subscriptions whose callback does nothing. */
    const bare = async (prefix: string, subjects: readonly string[], share: number): Promise<number> => {
      const { connection } = await nats.connect()
      let came = 0
      const callback = () => void came++
      for (const subject of subjects) connection.subscribe(subject, { callback })
      await connection.flush()
      const cpu = await cpuEach(prefix, () => came >= events * share)
      await connection.close()
      return cpu
    }
    /** With a live feed that follows everything, or its interest and digests. */
    const followed = async (interest: 'everything' | 'conversations'): Promise<number> => {
      const prefix = `p${turn++}`
      const connection = await nats.connect()
      const feed = await openFeed(connection, interest, idsOf(prefix, wantedPercent))
      const end = (feed.position('CONV_0') ?? 0) + events
      const cpu = await cpuEach(prefix, () => (feed.position('CONV_0') ?? 0) >= end)
      await feed.stop()
      await connection.close()
      return cpu
    }
    // Warm-up.
    await bare(`p${turn++}`, [everything], 1)
    for (const percent of [1, 10, 50])
      for (const kind of ['conversation', 'bucket'] as const) {
        const prefix = `p${turn++}`
        const subjects = subjectsOf(prefix, percent, kind)
        const cpu = await bare(prefix, subjects, percent / 100)
        tell(`${subjects.length} subscriptions, a ${kind}, for ${percent} %: ${cpu.toFixed(2)} µs`)
      }

    return {
      ours: async (): Promise<Sample> => {
        const connection = await nats.connect()
        const edge = await openListeningEdge(connection)
        const end = (edge.feed.position('CONV_0') ?? 0) + events
        const cpu = await cpuEach(`p${turn++}`, () => (edge.feed.position('CONV_0') ?? 0) >= end)
        await edge.stop()
        await connection.close()
        return [cpu, await followed('conversations')]
      },
      limit: async (): Promise<Sample> => [
        await bare(`p${turn++}`, [everything], 1),
        await followed('everything'),
      ],
    }
  },
}
