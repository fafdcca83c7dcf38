import { fileURLToPath } from 'node:url'
import { startScript } from '../harness/children.ts'
import { makeGroups } from '../harness/events.ts'
import { startNats } from '../harness/nats.ts'
import { rawAppend } from '../limits/raw-append.ts'
import type { Row, Sample } from '../row.ts'

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url))
const cli = path('../../src/cli/main.ts')
const limit = path('../limits/raw-consume.ts')

export const replayRow: Row = {
  name: 'replay',
  figures: [
    {
      path: 'replay to NDJSON, process start included',
      unit: 'events/s',
      target: { rule: 'ratio at least', value: 0.5 },
    },
  ],
  prepare: async ({ quick, tell, defer }) => {
    const nats = await startNats()
    defer(nats.stop)
    const subjects = makeGroups(500, 5, quick ? 50_000 : 300_000)
    const events = subjects.reduce((sum, { messages }) => sum + messages.length, 0)
    await rawAppend((await nats.connect()).connection, subjects)
    const args = ['replay', '--format', 'ndjson', '--nats', nats.url]

    const counted = startScript(cli, args)
    defer(counted.stop)
    const lines = await counted.countLines()
    if (lines !== events) throw new Error(`${lines} lines of ${events} events: ${counted.complaints()}`)
    tell(`${lines} lines, one an event`)

    const rate = async (script: string, scriptArgs: readonly string[]): Promise<Sample> => {
      const startedAt = performance.now()
      const child = startScript(script, scriptArgs, { stdout: 'ignore' })
      const code = await child.ended
      if (code !== 0) throw new Error(`${script} ended with ${code}: ${child.complaints()}`)
      return [(events * 1000) / (performance.now() - startedAt)]
    }
    return {
      ours: () => rate(cli, args),
      limit: () => rate(limit, [nats.url, 'CONV_0', String(events)]),
    }
  },
}
