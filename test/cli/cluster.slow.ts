import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { spawnConfab, untilReady } from '../harness/confab-process.ts'
import { startCluster } from '../harness/nats-cluster.ts'
import { runConfab } from '../harness/replay.ts'
import { tempFolder } from '../harness/temp-folder.ts'

t.test(
  'streams status and doctor report an unreachable NATS server, and views without a worker',
  { timeout: 180_000 },
  async t => {
    const cluster = await startCluster(t)
    const data = join(tempFolder(t), 'data')
    const nats = cluster.urls.join(',')
    const run = (...args: string[]) => runConfab([...args, '--nats', nats, '--data', data])
    const doctor = () => run('doctor', '--port', '0')

    const none = await doctor()
    t.match(none.stdout, /· {2}projections .*there are no views yet/)
    const confab = await untilReady(await spawnConfab({ data, nats }))
    t.teardown(() => confab.stop())
    const whole = await run('streams', 'status')
    t.equal(whole.code, 0, whole.stderr)
    t.match(whole.stdout, /^CONV_0 .* 3\/3 +n\d +– .*yes$/m)
    const well = await doctor()
    t.equal(well.code, 0, well.stdout)
    t.match(well.stdout, /✓ {2}stream CONV_0 /)

    t.equal(await confab.stop(), 0)
    const unfed = await doctor()
    t.equal(unfed.code, 1)
    t.match(unfed.stdout, /✗ {2}projections .*no process builds timeline, inbox, .*role "projections"/)
    t.match(unfed.stderr, /error NOT_READY: projections: see above/)

    await cluster.kill9(0)
    // Its leaders report it as away after ten seconds.
    let status = await run('streams', 'status')
    const isTold = () => [...status.stdout.matchAll(/ 2\/3 +n\d +n0 away for .+ yes$/gm)].length === 5
    for (; !isTold(); status = await run('streams', 'status')) await sleep(500)
    t.equal(status.code, 1)
    t.match(status.stderr, /error NOT_READY: start NATS server n0/)
    const away = await doctor()
    t.match(away.stdout, /✗ {2}stream CONV_0 .*2\/3 copies are current: n0 away for .+ start NATS server n0/)

    await cluster.restart(0)
    let again = await run('streams', 'status')
    for (; again.code !== 0; again = await run('streams', 'status')) await sleep(500)
    t.match(again.stdout, /^CONV_0 .* 3\/3 +n\d +– .*yes$/m)
  },
)
