import { isDeepStrictEqual, parseArgs } from 'node:util'
import { type Asserts, fuzz, lanesOf } from './fuzz.ts'
import { replayCase } from './fuzz-run.ts'
import { startFuzzedServer } from './fuzzed-server.ts'

const usage = `Fuzz all listeners of a server of its own.

  npm run fuzz -- [--minutes 2] [--seed N]      random seed by default
  npm run fuzz -- --replay LANE:SEED:PATH       run the case of a finding again
`

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '2' },
    seed: { type: 'string' },
    replay: { type: 'string' },
    help: { type: 'boolean' },
  },
})

const closers: (() => unknown)[] = []
const failures: string[] = []
const expect = (holds: boolean, message: string, actual?: unknown): boolean => {
  console.log(`${holds ? 'ok' : 'FAILED'}: ${message}`)
  if (holds) return true
  failures.push(message)
  if (actual !== undefined) console.log(JSON.stringify(actual, undefined, 1).slice(0, 5_000))
  return false
}
const asserts: Asserts = {
  ok: (value, message) => expect(Boolean(value), message),
  equal: (actual, expected, message) => expect(actual === expected, message, actual),
  same: (actual, expected, message) => expect(isDeepStrictEqual(actual, expected), message, actual),
  strictSame: (actual, expected, message) => expect(isDeepStrictEqual(actual, expected), message, actual),
  teardown: fn => closers.push(fn),
}

/** Runs a case again. Returns normally when the server passes it now. */
const replay = async (of: string): Promise<void> => {
  const [, name, seed, path] = /^([\w-]+):(-?\d+):([\d:]+)$/.exec(of) ?? []
  const server = await startFuzzedServer(asserts)
  const lane = lanesOf(server.target).find(lane => lane.name === name)
  if (lane === undefined || seed === undefined || path === undefined)
    throw new Error(
      `--replay: expected LANE:SEED:PATH, with LANE one of ${lanesOf(server.target).map(({ name }) => name)}`,
    )
  await replayCase(lane, Number(seed), path)
  asserts.same(server.errors(), [], 'the server has logged no error')
}

if (values.help) console.log(usage)
else
  try {
    if (values.replay !== undefined) await replay(values.replay)
    else {
      const seed = Number(values.seed ?? Math.floor(Math.random() * 1_000_000))
      console.log(`seed ${seed}, ${values.minutes} minutes`)
      await fuzz(asserts, { seed, minutes: Number(values.minutes), log: line => console.log(line) })
    }
  } catch (error) {
    failures.push(String(error))
    console.error(error)
  } finally {
    for (const close of closers.reverse()) await close()
  }
console.log(failures.length === 0 ? 'no finding' : `${failures.length} findings`)
// Clients of a server that has exited may still run.
process.exit(failures.length === 0 ? 0 : 1)
