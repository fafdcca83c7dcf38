import { writeFileSync } from 'node:fs'
import { isDeepStrictEqual, parseArgs } from 'node:util'
import { runDrill } from './drill.ts'
import { drillReport } from './report.ts'

const usage = `Lose a region under load, fail over, let it rejoin, switch over, and compare. Print a report.

  npm run -s drill -- [--out FILE]   report file; default: standard output
    --round-trip 80                  between the regions, ms
    --senders 20                     clients in each region
    --pause 50                       of each client after an ack, ms
    --stretch 10                     duration of the load in each state of the regions, s
`

const { values } = parseArgs({
  options: {
    out: { type: 'string' },
    'round-trip': { type: 'string', default: '80' },
    senders: { type: 'string', default: '20' },
    pause: { type: 'string', default: '50' },
    stretch: { type: 'string', default: '10' },
    help: { type: 'boolean' },
  },
})

const closers: (() => unknown)[] = []
let failures = 0
const startedAt = performance.now()
const note = (text: string): void =>
  console.error(`${((performance.now() - startedAt) / 1_000).toFixed(1).padStart(6)} s  ${text}`)
const expect = (holds: boolean, message: string, actual?: unknown): void => {
  note(`${holds ? 'ok' : 'FAILED'}: ${message}`)
  if (holds) return
  failures++
  if (actual !== undefined) console.error(JSON.stringify(actual, undefined, 1).slice(0, 5_000))
}
const asserts = {
  ok: (value: unknown, message: string) => expect(Boolean(value), message),
  equal: (actual: unknown, expected: unknown, message: string) =>
    expect(actual === expected, message, actual),
  same: (actual: unknown, expected: unknown, message: string) =>
    expect(isDeepStrictEqual(actual, expected), message, actual),
  strictSame: (actual: unknown, expected: unknown, message: string) =>
    expect(isDeepStrictEqual(actual, expected), message, actual),
  teardown: (fn: () => unknown) => closers.unshift(fn),
}

if (values.help) console.log(usage)
else
  try {
    const result = await runDrill(asserts, {
      delayMs: Number(values['round-trip']) / 2,
      senders: Number(values.senders),
      pauseMs: Number(values.pause),
      stretchMs: Number(values.stretch) * 1_000,
      onProgress: note,
    })
    const report = drillReport(result)
    if (values.out === undefined) console.log(report)
    else writeFileSync(values.out, report)
  } finally {
    for (const close of closers) await close()
  }
process.exitCode = failures === 0 ? 0 : 1
