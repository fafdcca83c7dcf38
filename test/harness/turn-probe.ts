import { createServer } from 'node:http'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { isMainThread } from 'node:worker_threads'

/**
 * Loaded into a process of confab with `--import`: measures the turns of its main event loop in CPU time, which no
 * other process of the machine can lengthen. `/memory` collects the garbage and returns what is left. Answers on the
 * port in TURN_PROBE_PORT.
 */
const cpuMs = (): number => {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}

/** Long texts of the kinds that clients send, parsed and written again: the same work on every machine. */
const referenceWork = (): void => {
  const frame = JSON.stringify({ id: 'r', t: 'send', text: 'tea "and" milk\n'.repeat(4_000) })
  for (let i = 0; i < 20; i++) JSON.stringify(JSON.parse(frame))
}

/** CPU time of the reference work, ms: the least of several runs, when all of it is compiled. */
const reference = (): number => {
  let least = Number.POSITIVE_INFINITY
  for (let i = 0; i < 20; i++) {
    const start = cpuMs()
    referenceWork()
    least = Math.min(least, cpuMs() - start)
  }
  return least
}

/** Collects the garbage, several times: finalizers release more. */
const memory = (): NodeJS.MemoryUsage => {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  for (let i = 0; i < 4; i++) gc()
  return process.memoryUsage()
}

if (isMainThread) {
  let last = cpuMs()
  let longest = 0
  let used = 0
  const turn = (): void => {
    const now = cpuMs()
    longest = Math.max(longest, now - last)
    used += now - last
    last = now
  }
  setInterval(turn, 1).unref()
  createServer((request, response) => {
    if (request.url === '/memory') response.end(JSON.stringify(memory()))
    else if (request.url === '/reference') response.end(JSON.stringify({ reference: reference() }))
    else {
      turn()
      response.end(JSON.stringify({ longest, used }))
    }
    longest = 0
    used = 0
    last = cpuMs()
  })
    .listen(Number(process.env.TURN_PROBE_PORT), '127.0.0.1')
    .unref()
}
