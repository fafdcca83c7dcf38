import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { spawnConfab, untilReady } from '../harness/confab-process.ts'
import { startCluster } from '../harness/nats-cluster.ts'
import { tempFolder } from '../harness/temp-folder.ts'

t.test('a projection worker is not ready while the log has no majority', { timeout: 180_000 }, async t => {
  const cluster = await startCluster(t)
  const confab = await untilReady(
    await spawnConfab({
      data: join(tempFolder(t), 'data'),
      nats: cluster.urls.join(','),
      args: ['--roles', 'projections'],
    }),
  )
  t.teardown(() => confab.stop())
  const readyz = async () => {
    const answer = await fetch(`${confab.adminUrl}/readyz`)
    return { status: answer.status, parts: ((await answer.json()) as { parts: object }).parts }
  }
  t.match(await readyz(), { status: 200, parts: { 'projections log': true } })

  await cluster.kill9(0)
  await cluster.kill9(1)
  // The remaining server answers once a client is connected to it.
  let seen = await readyz()
  for (; !('nats' in seen.parts && seen.parts.nats) || seen.status === 200; seen = await readyz())
    await sleep(250)
  t.match(seen, { status: 503, parts: { nats: true, 'projections log': false, 'view timeline': String } })

  await Promise.all([cluster.restart(0), cluster.restart(1)])
  await untilReady(confab)
})
