import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { readViews, sameViews } from '../harness/compare-views.ts'
import { type ConfabProcess, spawnConfab, untilReady } from '../harness/confab-process.ts'
import { freePort } from '../harness/free-ports.ts'
import { ackedAreStored, clientsSawTheLog, seqsAreGapless } from '../harness/invariants.ts'
import { startLoad } from '../harness/load.ts'
import { replayLog } from '../harness/replay.ts'
import { tempFolder } from '../harness/temp-folder.ts'
import { untilLevel } from '../harness/until-level.ts'

const users = ['alice', 'bob', 'carol', 'dave', 'erin']
const conversations = ['tea', 'den', 'lab']

t.test(
  'kill -9 of confab and of its nats-server under live load loses nothing',
  { timeout: 300_000 },
  async t => {
    const folder = tempFolder(t)
    const data = join(folder, 'data')
    const port = await freePort()
    let confab = await untilReady(await spawnConfab({ data, port }))
    t.teardown(() => confab.stop())
    const load = await startLoad(confab, { users, conversations, pauseMs: 5 })

    for (const victim of ['confab', 'nats', 'confab', 'nats', 'both', 'confab']) {
      await sleep(300 + Math.random() * 1200)
      if (victim !== 'confab') {
        const { pid } = JSON.parse(readFileSync(join(data, 'nats.json'), 'utf8')) as { pid: number }
        process.kill(pid, 'SIGKILL')
      }
      if (victim !== 'nats') {
        await confab.kill9()
        confab = await untilReady(await spawnConfab({ data, port }))
      }
      const before = load.acked.length
      while (load.acked.length < before + 50) await sleep(20)
      t.pass(`killed ${victim}; acks continue`)
    }
    await load.end()

    const log = await replayLog(['--data', data])
    for (const client of load.clients)
      for (const c of conversations) while (client.head(c) < log.get(c)!.length) await sleep(20)
    t.ok(load.acked.length > 300, `${load.acked.length} messages were acked`)
    for (const c of log.keys()) if (!conversations.includes(c)) log.delete(c)
    ackedAreStored(t, log, load.acked)
    seqsAreGapless(t, log)
    clientsSawTheLog(t, log, load.clients)
    await Promise.all(load.clients.map(client => client.stop()))

    const { url } = JSON.parse(readFileSync(join(data, 'nats.json'), 'utf8')) as { url: string }
    const fresh = await untilReady(await spawnConfab({ data: join(folder, 'fresh'), nats: url }))
    t.teardown(() => fresh.stop())
    await Promise.all([confab, fresh].map(server => untilLevel(server)))
    const words = ['word3', '"from carol"', 'num*']
    const viewsOf = (server: ConfabProcess) => () => readViews(server, users, words)
    await sameViews(t, { actual: viewsOf(confab), expected: viewsOf(fresh) }, 'views equal a replay')
    t.equal(await fresh.stop(), 0)
    t.equal(await confab.stop(), 0, 'SIGTERM drains and exits 0')
  },
)
