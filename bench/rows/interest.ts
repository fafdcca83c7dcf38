import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { bucketOf, livePrefix, subjectOf } from '../../src/events/index.ts'
import type { AppendJob } from '../harness/appender.ts'
import { startScript } from '../harness/children.ts'
import { openListeningEdge } from '../harness/listening-edge.ts'
import { startNats } from '../harness/nats.ts'
import type { Row, Sample } from '../row.ts'

const conversations = 2_000
const appender = fileURLToPath(new URL('../harness/appender.ts', import.meta.url))
const everything = `${livePrefix}.conv.*.*`

/** The live subjects of the first conversations of a prefix, so many in a hundred of them: one each, or their buckets. */
const subjectsOf = (prefix: string, percent: number, kind: 'conversation' | 'bucket'): string[] => {
  const ids = Array.from({ length: (conversations * percent) / 100 }, (_, n) => `${prefix}-${n}`)
  return kind === 'conversation'
    ? ids.map(id => `${livePrefix}.${subjectOf({ family: 'conv', id })}`)
    : [...new Set(ids.map(id => `${livePrefix}.conv.${bucketOf(id)}.*`))]
}

/** What it costs an edge to see the events of the whole system, of which none concerns its clients; told beside it, what narrower subscriptions would cost. */
export const interestRow: Row = {
  name: 'interest',
  figures: [
    {
      path: 'an event of the system that concerns nobody at the edge, CPU',
      unit: 'µs',
      target: { rule: 'ratio at most', value: 2 },
    },
  ],
  prepare: async ({ quick, tell, defer }) => {
    const nats = await startNats()
    defer(nats.stop)
    const child = startScript(appender, [nats.url])
    defer(child.stop)
    const each = quick ? 10 : 40
    const events = conversations * each
    let turn = 0

    /** Microseconds of this process an event that is appended, until all that `hasAll` waits for has come. */
    const cpuEach = async (prefix: string, hasAll: () => boolean): Promise<number> => {
      const before = process.cpuUsage()
      await child.ask({ prefix, conversations, each } satisfies AppendJob)
      while (!hasAll()) await sleep(5)
      const { user, system } = process.cpuUsage(before)
      return (user + system) / events
    }
    /** With subscriptions that look at nothing. */
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
    // A first one, to warm up.
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
        return [cpu]
      },
      limit: async (): Promise<Sample> => [await bare(`p${turn++}`, [everything], 1)],
    }
  },
}
