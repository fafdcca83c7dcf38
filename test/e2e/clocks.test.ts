import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { spawnConfab, untilReady } from '../harness/confab-process.ts'
import { startNats } from '../harness/nats.ts'
import { RawClient } from '../harness/raw-client.ts'
import { replayLog } from '../harness/replay.ts'
import { tempFolder } from '../harness/temp-folder.ts'

/** A module that sets the clock of its process ahead. The monotonic clock stays as it is. */
const shiftedClock = (ms: number): string => `
const now = Date.now
class Shifted extends Date {
  constructor(...parts) {
    if (parts.length === 0) super(Shifted.now())
    else super(...parts)
  }
  static now() {
    return now() + ${ms}
  }
}
globalThis.Date = Shifted
`

t.test(
  'two processes, one with a clock that is two hours ahead: times never fall, and no wait is longer',
  { timeout: 240_000 },
  async t => {
    const nats = await startNats(t)
    const folder = tempFolder(t)
    const secret = 'a secret of at least thirty-two bytes'
    const shift = join(folder, 'shift.mjs')
    writeFileSync(shift, shiftedClock(2 * 3_600_000))
    const common = { nats: nats.url, secret }
    const ahead = await spawnConfab({
      ...common,
      data: join(folder, 'ahead'),
      env: { NODE_OPTIONS: `--import ${shift}` },
    })
    const right = await spawnConfab({ ...common, data: join(folder, 'right') })
    t.teardown(() => Promise.all([ahead.stop(), right.stop()]))
    for (const server of [ahead, right]) await untilReady(server)
    const connect = async (server: typeof right, user: string): Promise<RawClient> => {
      const client = await RawClient.open(`${server.url.replace('http', 'ws')}/v1/ws`)
      await client.ok('hello', { token: await server.token(user) })
      return client
    }
    const alice = await connect(right, 'alice')
    const [bobAhead, bob] = [await connect(ahead, 'bob'), await connect(right, 'bob')]
    const c = 'tea'
    await alice.ok('create', { c, kind: 'group', members: ['bob'] })
    await alice.ok('settings', { c, slowModeSeconds: 600 })
    await bob.event(c, 2)
    await bobAhead.event(c, 2)

    const first = await bobAhead.ok('send', { c, m: 'm1', text: 'ahead' })
    t.ok(Date.parse(String(first.at)) > Date.now() + 3_600_000, 'the clock is ahead')
    await bob.event(c, 3)
    t.equal(await bob.code('send', { c, m: 'm2', text: 'at once' }), 'RATE_LIMITED')
    await alice.ok('settings', { c, slowModeSeconds: 1 })
    await sleep(1_100)
    await bob.ok('send', { c, m: 'm2', text: 'served' })
    await alice.ok('settings', { c, slowModeSeconds: 600 })
    await bobAhead.event(c, 6)
    t.equal(await bobAhead.code('send', { c, m: 'm3', text: 'at once' }), 'RATE_LIMITED')

    const log = await replayLog(['--nats', nats.url])
    const times = log.get(c)!.map(({ at }) => String(at))
    t.same(times, [...times].sort(), 'in order')
    t.same(
      (await bob.ok('inbox', { seen: { [c]: 6 } })).items,
      (await bobAhead.ok('inbox', { seen: { [c]: 6 } })).items,
      'both processes show the same list',
    )
  },
)
