import { setTimeout as sleep } from 'node:timers/promises'
import { readViews, sameViews } from '../harness/compare-views.ts'
import { ackedAreStored, clientsSawTheLog, onlyMembersSaw, seqsAreGapless } from '../harness/invariants.ts'
import { replayLog } from '../harness/replay.ts'
import { untilLevel } from '../harness/until-level.ts'
import { adminLane } from './admin-lane.ts'
import { type FoundCase, type LaneResult, runLane } from './fuzz-run.ts'
import { type FuzzedServer, startFuzzedServer } from './fuzzed-server.ts'
import { grpcLane } from './grpc-lane.ts'
import { httpLane } from './http-lane.ts'
import type { Lane, Target } from './lane.ts'
import { calm, startNeighbours } from './neighbours.ts'
import { streamLane } from './stream-lane.ts'
import { rareWord, strangers, victims } from './vocabulary.ts'
import { webSocketLane } from './websocket-lane.ts'

export interface FuzzOptions {
  readonly seed: number
  readonly minutes: number
  /** Receives a line about the progress. */
  readonly log: (line: string) => void
}

/** The assertions of a test, or of `main.ts`. */
export interface Asserts {
  ok(value: unknown, message: string): unknown
  equal(actual: unknown, expected: unknown, message: string): unknown
  same(actual: unknown, expected: unknown, message: string): unknown
  strictSame(actual: unknown, expected: unknown, message: string): unknown
  teardown(fn: () => unknown): void
}

/** The clients of all listeners. Each lane has addresses of its own. */
export const lanesOf = (target: Target): readonly Lane[] => [
  webSocketLane('websocket', 1, target),
  webSocketLane('websocket-2', 2, target),
  httpLane('http', 3, target.port, target),
  httpLane('http-2', 4, target.port, target),
  streamLane('stream', 5, target),
  grpcLane('grpc', 6, target),
  adminLane('admin', 7, target),
]

/** Time of the load that the others are compared with: requests that ask for nothing. */
const baselineMs = 5_000
/** How much longer than beside such requests an answer to a neighbour may take. */
const mostSlower = 20
/** The longest turn of the event loop, in units of the reference work: about half a second. */
const longestTurn = 150
/** The least share of requests of a type that succeed. */
const leastSuccess: Readonly<Record<string, number>> = { hello: 0.3, send: 0.1, inbox: 0.1 }
const MiB = 1024 ** 2
/** Memory that caches with a bound may add after the start of a run. */
const mostGrowth = 96 * MiB

const numberOf = async ({ confab }: FuzzedServer, name: string): Promise<number> => {
  const text = await (await fetch(`${confab.adminUrl}/metrics`)).text()
  return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1] ?? Number.NaN)
}

/** Asks for nothing, as often as the server answers. */
const baselineLoad = async (target: Target, untilAt: number): Promise<void> => {
  const ask = async () => {
    while (performance.now() < untilAt) await (await fetch(`http://127.0.0.1:${target.port}/healthz`)).text()
  }
  await Promise.all(lanesOf(target).map(ask))
}

interface Outcomes {
  readonly ok: number
  readonly errors: number
}

/** Returns how often each type of request was answered with a success and with errors. */
const outcomes = async ({ confab }: FuzzedServer): Promise<ReadonlyMap<string, Outcomes>> => {
  const text = await (await fetch(`${confab.adminUrl}/metrics`)).text()
  const counts = new Map<string, { ok: number; errors: number }>()
  for (const [, type = '', outcome, count] of text.matchAll(
    /^confab_edge_requests_total\{type="(\w+)",outcome="(\w+)"\} (\d+)$/gm,
  )) {
    const known = counts.get(type) ?? { ok: 0, errors: 0 }
    counts.set(type, known)
    known[outcome === 'ok' ? 'ok' : 'errors'] += Number(count)
  }
  return counts
}

const becomes = async (holds: () => Promise<boolean>): Promise<boolean> => {
  for (let tries = 0; tries < 200; tries++) {
    if (await holds()) return true
    await sleep(100)
  }
  return false
}

const reported = ({ lane, message, replay, minimal }: FoundCase): string =>
  `found in ${lane}: ${message}\n  ${replay}\n  ${minimal}`

/** Fuzzes a server of its own, and checks it during the run and after it. */
export const fuzz = async (t: Asserts, { seed, minutes, log }: FuzzOptions): Promise<void> => {
  const server = await startFuzzedServer(t)
  const { confab, target } = server
  const hasExited = confab.exited().then(code => {
    throw new Error(`the server has exited with ${code}:\n${confab.output().slice(-5_000)}`)
  })
  // The end of the run stops it.
  hasExited.catch(() => {})
  const neighbours = await startNeighbours(confab)
  const stopKeeping = server.keepMembers()
  const lanes = lanesOf(target)

  await baselineLoad(target, performance.now() + baselineMs)
  neighbours.latencies()
  await baselineLoad(target, performance.now() + baselineMs)
  const baseline = neighbours.latencies()
  const openFiles = server.openFiles()
  const ms = minutes * 60_000
  // Caches fill at the start.
  const warmMs = Math.min(ms / 4, 3 * 60_000)
  const run = async (part: number, forMs: number): Promise<readonly LaneResult[]> => {
    const endAt = performance.now() + forMs
    const running = lanes.map(lane => runLane(lane, seed + part, endAt, found => log(reported(found))))
    return await Promise.race([Promise.all(running), hasExited])
  }

  const results = [...(await run(0, warmMs))]
  const before = await server.memory()
  await server.longestTurn()
  const watch = setInterval(
    async () => {
      const { rss, heapUsed, external } = await server
        .memory()
        .catch(() => ({ rss: 0, heapUsed: 0, external: 0 }))
      const size = (bytes: number) => `${Math.round(bytes / MiB)} MiB`
      log(`memory: ${size(rss)} resident, ${size(heapUsed)} heap, ${size(external)} external`)
    },
    Math.max(30_000, ms / 12),
  )
  results.push(...(await run(1, ms - warmMs)))
  clearInterval(watch)
  const slower = neighbours.latencies()
  const turn = await server.longestTurn()
  await neighbours.end()
  await stopKeeping()
  const counts = await outcomes(server)
  log(
    `successes and errors: ${[...counts].map(([type, { ok, errors }]) => `${type} ${ok}/${errors}`).join(', ')}`,
  )
  // A fuzzer that the server does not let in finds nothing.
  for (const [type, least] of Object.entries(leastSuccess)) {
    const { ok, errors } = counts.get(type) ?? { ok: 0, errors: 1 }
    t.ok(ok >= least * (ok + errors), `enough requests succeed: ${type} ${ok} of ${ok + errors}`)
  }

  for (const result of results) {
    t.same(result.found, [], `${result.name}: no finding in ${result.cases} cases`)
    t.ok(result.cases > 0, `${result.name} had cases`)
  }
  t.same(server.errors(), [], 'the server has logged no error')
  const times = `median ${slower.median.toFixed(1)} ms, 95 % ${slower.p95.toFixed(1)} ms; before ${baseline.median.toFixed(1)} and ${baseline.p95.toFixed(1)} ms`
  log(`latencies of the neighbours: ${times}; longest turn: ${turn.toFixed(1)} units`)
  t.ok(slower.median <= mostSlower * baseline.median, `the neighbours are answered in time: ${times}`)
  t.ok(turn <= longestTurn, `no turn of the event loop is long: ${turn.toFixed(1)} units`)

  await Promise.all(neighbours.clients.map(client => client.stop()))
  t.ok(
    await becomes(async () => (await numberOf(server, 'confab_edge_connections')) === 0),
    'no session is left',
  )
  t.ok(
    await becomes(async () => server.openFiles() <= openFiles),
    `no file or socket is left open: ${openFiles} before, ${server.openFiles()} after`,
  )
  const after = await server.memory()
  const growth = after.heapUsed + after.external - before.heapUsed - before.external
  const sizes = `${Math.round(before.rss / MiB)} MiB resident before, ${Math.round(after.rss / MiB)} after; ${(growth / MiB).toFixed(1)} MiB more in use`
  log(`memory: ${sizes}`)
  t.ok(growth < mostGrowth, `memory is bounded: ${sizes}`)

  const events = await replayLog(['--nats', server.nats.url, '--conversation', calm])
  ackedAreStored(t, events, neighbours.acked)
  seqsAreGapless(t, events)
  clientsSawTheLog(t, events, neighbours.clients)
  onlyMembersSaw(t, events, neighbours.clients)

  const rebuilt = await server.rebuilt()
  await untilLevel(confab)
  await untilLevel(rebuilt)
  const users = [...strangers.slice(0, 2), ...victims, 'alice']
  const read = (of: typeof confab) => () => readViews(of, users, [rareWord])
  await sameViews(t, { actual: read(confab), expected: read(rebuilt) }, 'the views equal a replay of the log')
}
