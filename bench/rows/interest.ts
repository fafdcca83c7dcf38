import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { LiveFeed } from '../../src/commands/index.ts'
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
/** The share of the conversations and users that the clients of the edge need. */
const neededPercent = 10
const everything = [`${livePrefix}.conv.*.*`, `${livePrefix}.user.*.*`, 'sig.*.*']

const idsOf = (prefix: string, percent: number, separator = '-'): string[] =>
  Array.from({ length: (conversations * percent) / 100 }, (_, n) => `${prefix}${separator}${n}`)

/** The live subjects of the first conversations of a prefix, in percent of them: one each, or their partitions. */
const subjectsOf = (prefix: string, percent: number, kind: 'conversation' | 'partition'): string[] => {
  const ids = idsOf(prefix, percent)
  return kind === 'conversation'
    ? ids.map(id => `${livePrefix}.${subjectOf({ family: 'conv', id })}`)
    : [...new Set(ids.map(id => `${livePrefix}.conv.${partitionOf(id)}.*`))]
}

/**
 * CPU time that an edge node spends on the events, markers and signals of the whole system, when none concerns its
 * clients; and CPU time of a feed that follows a tenth of the conversations and users, or none, and digests of the
 * rest, beside a feed that follows everything. The row also reports what subscriptions alone would cost.
 */
export const interestRow: Row = {
  name: 'interest',
  figures: [
    {
      path: 'an event or signal that concerns no client of the edge, CPU',
      unit: 'µs',
      target: { rule: 'ratio at most', value: 2 },
    },
    {
      path: `an event or signal, ${neededPercent} % needed: these and digests, against everything, CPU`,
      unit: 'µs',
      target: { rule: 'ratio at most', value: 0.6 },
    },
    {
      path: 'an event or signal, none needed: digests, against everything, CPU',
      unit: 'µs',
      target: { rule: 'ratio at most', value: 0.4 },
    },
  ],
  prepare: async ({ quick, tell, defer }) => {
    const nats = await startNats()
    defer(nats.stop)
    const child = startScript(appender, [nats.url])
    defer(child.stop)
    const digests = startScript(digester, [nats.url])
    defer(digests.stop)
    // Of each conversation: so many messages, as many marks, half as many typing signals.
    const each = quick ? 6 : 20
    const [messages, marks, typing] = [conversations * each, conversations * each, (conversations * each) / 2]
    let turn = 0

    /** Microseconds of this process for each event and signal, until `hasAll` holds. */
    const cpuEach = async (job: AppendJob, count: number, hasAll: () => boolean): Promise<number> => {
      const before = process.cpuUsage()
      await child.ask(job)
      while (!hasAll()) await sleep(5)
      const { user, system } = process.cpuUsage(before)
      return (user + system) / count
    }
    const jobOf = (prefix: string): AppendJob => ({ prefix, conversations, each, marks: true })
    const all = messages + marks + typing
    /** With subscriptions whose callbacks do nothing. */
    const bare = async (job: AppendJob, subjects: readonly string[], count: number): Promise<number> => {
      const { connection } = await nats.connect()
      let received = 0
      const callback = () => void received++
      for (const subject of subjects) connection.subscribe(subject, { callback })
      await connection.flush()
      const cpu = await cpuEach(job, job.marks === true ? all : messages, () => received >= count)
      await connection.close()
      return cpu
    }
    /** Whether a feed has delivered or skipped as many events as one job appends, from where it is now. */
    const endOf = (feed: LiveFeed): (() => boolean) => {
      const ends = feed.positions().map(({ stream, streamSeq }) => ({
        stream,
        end: streamSeq + (stream.startsWith('CONV') ? messages : marks),
      }))
      return () => ends.every(({ stream, end }) => (feed.position(stream) ?? 0) >= end)
    }
    /** With a live feed and signals. */
    const followed = async (interest: 'everything' | 'conversations', percent: number): Promise<number> => {
      const prefix = `p${turn++}`
      const connection = await nats.connect()
      const needed = { conversations: idsOf(prefix, percent), users: idsOf(`${prefix}-u`, percent, '') }
      const feed = await openFeed(connection, interest, needed)
      const cpu = await cpuEach(jobOf(prefix), all, endOf(feed))
      await feed.stop()
      await connection.close()
      return cpu
    }
    // The first turn warms up.
    await bare(jobOf(`p${turn++}`), everything, all)
    for (const percent of [1, 10, 50])
      for (const kind of ['conversation', 'partition'] as const) {
        const prefix = `p${turn++}`
        const subjects = subjectsOf(prefix, percent, kind)
        const cpu = await bare({ prefix, conversations, each }, subjects, (messages * percent) / 100)
        tell(`${subjects.length} subscriptions, one a ${kind}, for ${percent} %: ${cpu.toFixed(2)} µs`)
      }

    return {
      ours: async (): Promise<Sample> => {
        const connection = await nats.connect()
        const edge = await openListeningEdge(connection)
        const cpu = await cpuEach(jobOf(`p${turn++}`), all, endOf(edge.feed))
        await edge.stop()
        await connection.close()
        return [cpu, await followed('conversations', neededPercent), await followed('conversations', 0)]
      },
      limit: async (): Promise<Sample> => [
        await bare(jobOf(`p${turn++}`), everything, all),
        await followed('everything', neededPercent),
        await followed('everything', 0),
      ],
    }
  },
}
