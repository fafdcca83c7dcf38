import { parseArgs } from 'node:util'
import { replayCase, runLane } from './fuzz-run.ts'
import { startFuzzedServer } from './fuzzed-server.ts'
import { webSocketLane } from './websocket-lane.ts'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '2' },
    seed: { type: 'string' },
    replay: { type: 'string' },
  },
})

const closers: (() => unknown)[] = []
const server = await startFuzzedServer({ teardown: fn => closers.push(fn) })
const lanes = [webSocketLane('websocket', 1, server.target)]
if (values.replay !== undefined) {
  const [name, seed, path = ''] = values.replay.split(/:(-?\d+):/)
  await replayCase(lanes.find(lane => lane.name === name)!, Number(seed), path).catch(error =>
    console.log(String(error)),
  )
} else {
  const seed = Number(values.seed ?? Date.now() % 1_000_000)
  const endAt = performance.now() + Number(values.minutes) * 60_000
  const results = await Promise.all(lanes.map(lane => runLane(lane, seed, endAt)))
  console.log(JSON.stringify({ seed, results }, null, 1))
}
console.log(server.errors().slice(0, 20).join('\n'))
for (const close of closers.reverse()) await close()
