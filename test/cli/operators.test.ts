import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { connectNats, findRunningServer, openNatsPlans } from '../../src/infra/nats/index.ts'
import { firstPlan, projectionNames, rebuild, versionOf } from '../../src/projections/index.ts'
import { spawnConfab, untilReady } from '../harness/confab-process.ts'
import { startNats } from '../harness/nats.ts'
import { runConfab } from '../harness/replay.ts'
import { tempFolder } from '../harness/temp-folder.ts'

t.test('streams, projections and doctor work on a running and on a stopped system', async t => {
  const folder = tempFolder(t)
  const data = join(folder, 'data')
  const empty = join(folder, 'empty')
  for (const command of [['streams', 'status'], ['projections', 'ls'], ['replay']]) {
    const { code, stderr } = await runConfab([...command, '--data', empty])
    t.equal(code, 1)
    t.match(stderr, /error NO_SERVER: .*empty holds no confab data/, command.join(' '))
  }
  const fresh = await runConfab(['doctor', '--port', '0', '--data', empty])
  t.equal(fresh.code, 0, fresh.stdout)
  t.match(fresh.stdout, /✓ {2}Node/)
  t.match(fresh.stdout, /✓ {2}nats-server/)
  t.match(fresh.stdout, /· {2}log .*none in the data folder yet/)

  const confab = await untilReady(await spawnConfab({ data }))
  t.teardown(() => confab.stop())
  const status = await runConfab(['streams', 'status', '--data', data])
  t.equal(status.code, 0, status.stderr)
  t.match(status.stdout, /^CONV_0 +14 .* yes$/m)
  const json = JSON.parse((await runConfab(['streams', 'status', '--json', '--data', data])).stdout) as {
    stream: string
    drift: string[]
  }[]
  t.same(
    json.map(({ stream, drift }) => [stream, drift.length]),
    [
      ['AUDIT', 0],
      ['CONV_0', 0],
      ['DEAD_LETTERS', 0],
      ['SNAPSHOTS', 0],
      ['USER_0', 0],
    ],
  )
  t.match((await runConfab(['streams', 'apply', '--data', data])).stdout, /^CONV_0 +unchanged$/m)

  let rows: { projection: string; lagEvents: number; streams: unknown[] }[] = []
  do rows = JSON.parse((await runConfab(['projections', 'status', '--json', '--data', data])).stdout)
  while (rows.some(({ lagEvents, streams }) => lagEvents > 0 || streams.length === 0))
  t.same(
    rows.map(({ streams }) => streams.length),
    projectionNames.map(() => 2),
    'all projections of two streams each, level with the log',
  )
  t.match(
    (await runConfab(['projections', 'ls', '--streams', '--data', data])).stdout,
    new RegExp(
      `^search +1 +live +${versionOf('search')} +CONV_0 +14 +live +0 +0 +0 +\\d+ +sqlite +\\S+$`,
      'm',
    ),
  )

  const doctor = await runConfab(['doctor', '--port', new URL(confab.url).port, '--data', data])
  t.equal(doctor.code, 0, doctor.stdout)
  t.match(doctor.stdout, /· {2}port .*in use/)
  t.match(doctor.stdout, /✓ {2}stream CONV_0 .*14 messages/)
  t.match(doctor.stdout, /✓ {2}projections .*all have workers and are level/)

  const nats = await connectNats({ servers: findRunningServer(data)!.url })
  const version = versionOf('search')
  await (await openNatsPlans(nats)).update('search', () => rebuild(firstPlan(version - 1), version))
  await nats.close()
  t.equal(await confab.stop(), 0)
  const newer = await untilReady(await spawnConfab({ data }))
  t.teardown(() => newer.stop())
  const port = new URL(newer.url).port
  const building = await runConfab(['doctor', '--port', port, '--data', data])
  t.equal(building.code, 0, building.stdout)
  t.match(building.stdout, /· {2}projection search .*not updated while its next generation is built/)

  t.equal(await newer.stop(), 0)
  const afterwards = await runConfab(['doctor', '--port', '0', '--data', data])
  t.equal(afterwards.code, 0, 'doctor accepts views without a worker while no server runs')
  t.match(
    afterwards.stdout,
    /· {2}projections .*no process builds timeline, inbox, .*normal while no server runs/,
  )
})

t.test('doctor reports problems with advice', async t => {
  const folder = tempFolder(t)
  const nats = await startNats(t, { streams: false })
  const status = await runConfab(['streams', 'status', '--nats', nats.url])
  t.equal(status.code, 1)
  t.match(status.stdout, /^CONV_0 .* no: missing$/m)
  t.match(status.stderr, /error NOT_READY: .*confab streams apply/)
  const doctor = await runConfab(['doctor', '--port', '0', '--nats', nats.url, '--data', folder])
  t.equal(doctor.code, 1)
  t.match(doctor.stdout, /✗ {2}stream CONV_0 .*confab streams apply/)
  const apply = await runConfab(['streams', 'apply', '--nats', nats.url])
  t.equal(apply.code, 0, apply.stderr)
  t.match(apply.stdout, /^CONV_0 +created$/m)
  t.equal((await runConfab(['streams', 'status', '--nats', nats.url])).code, 0)
  const file = join(folder, 'file')
  writeFileSync(file, '')
  const unwritable = await runConfab(['doctor', '--port', '0', '--data', join(file, 'data')])
  t.equal(unwritable.code, 1)
  t.match(unwritable.stdout, /✗ {2}data folder/)
  const away = await runConfab(['doctor', '--port', '0', '--nats', 'nats://127.0.0.1:1', '--data', folder])
  t.equal(away.code, 1)
  t.match(away.stdout, /✗ {2}NATS/)
  const other = createServer().listen(0, '127.0.0.1')
  t.teardown(() => other.close())
  await once(other, 'listening')
  const { port } = other.address() as AddressInfo
  const taken = await runConfab(['doctor', '--port', String(port), '--data', folder])
  t.equal(taken.code, 1)
  t.match(taken.stdout, /✗ {2}port .*cannot be used: another process listens there/)
})
