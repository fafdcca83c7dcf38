import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { jetstream } from '@nats-io/jetstream'
import t from 'tap'
import { startNats } from '../harness/nats.ts'
import { startRegions } from '../harness/nats-regions.ts'
import { passwordOf } from '../harness/nats-users.ts'
import { runConfab } from '../harness/replay.ts'
import { tempFolder } from '../harness/temp-folder.ts'

t.test('a system of one region', async t => {
  const nats = await startNats(t)
  const place = ['--nats', nats.url, '--data', join(tempFolder(t), 'nothing')]
  const status = await runConfab(['region', 'status', ...place])
  t.equal(status.code, 0, status.stderr)
  t.match(status.stdout, /^main +yes +1$/m)
  t.match(status.stdout, /^CONV_0 +home +main +1 +home +0 +–/m)
  t.same(JSON.parse((await runConfab(['region', 'status', '--json', ...place])).stdout), {
    regions: [{ region: 'main', reachable: true, epochSeen: 1 }],
    streams: ['CONV_0', 'USER_0'].map(stream => ({
      stream,
      home: 'main',
      epoch: 1,
      ack: 'home',
      homeLast: 0,
      mirrors: [],
    })),
  })
  const streams = JSON.parse((await runConfab(['streams', 'status', '--json', ...place])).stdout)
  t.match(streams[0], { stream: 'AUDIT', role: 'home', home: 'main', epoch: 1, mirrors: [] })

  t.match(await runConfab(['region', 'status', '--hash', '0', ...place]), {
    code: 2,
    stderr:
      /^error BAD_OPTION: option '--hash <k>' argument '0' is invalid. Give a number from 1 to 10000\./m,
  })
  const file = join(tempFolder(t), 'topology.yaml')
  writeFileSync(file, 'regions: {a: {}, b: {domain: a, urls: nats://b}}\nstreams: {conv: {home: x}}\n')
  for (const command of [
    ['region', 'status'],
    ['streams', 'plan'],
    ['streams', 'apply'],
    ['streams', 'status'],
    ['serve'],
  ])
    t.match(
      await runConfab([...command, '--topology', file, ...place]),
      { code: 2, stdout: '', stderr: /error BAD_OPTION: .*topology\.yaml is wrong in \d places:/ },
      command.join(' '),
    )
})

t.test('a system of two regions and a witness', async t => {
  const servers = await startRegions(t)
  const [a, b] = ['a', 'b'].map(name => servers.region(name))
  const run = (...args: string[]) =>
    runConfab([...args, '--nats', a!.url, '--topology', servers.topologyFile])

  const plan = await run('streams', 'plan')
  t.equal(plan.code, 0, plan.stderr)
  t.match(plan.stdout, /^a +CONV_0 +name +– +CONV_0 +created$/m)
  t.match(plan.stdout, /^a +CONV_0 +consumer mirror-b +– +from 1 +created$/m)
  const applied = await run('streams', 'apply', '--json')
  t.equal(applied.code, 0, applied.stderr)
  const outcomes: { stream: string }[] = JSON.parse(applied.stdout)
  t.match(
    outcomes.findLast(({ stream }) => !stream.startsWith('KV_')),
    {
      region: 'b',
      stream: 'USER_0',
      outcome: 'created',
      changed: [],
    },
  )
  t.match(await run('streams', 'plan'), { code: 0, stdout: '', stderr: /^all streams are as defined$/m })
  t.same(JSON.parse((await run('streams', 'plan', '--json')).stdout), { changes: [] })
  const records = await runConfab(['audit', 'ls', '--json', '--nats', a!.url])
  t.match(records.stdout, /"CONV_0 in b": ?"created"/)
  const { connection } = await b!.connect()
  t.equal(
    (
      await jetstream(connection)
        .jetstreamManager()
        .then(manager => manager.streams.info('KV_confab-quotas'))
    ).config.storage,
    'file',
    'each region has buckets',
  )

  const publisher = await a!.connect()
  await jetstream(publisher.connection).publish('epoch.1.conv.1.x', 'x')
  const status = await run('region', 'status', '--hash', '10')
  t.equal(status.code, 0, status.stderr)
  t.match(status.stdout, /^c +yes +1$/m)
  t.match(status.stdout, /^CONV_0 +home +a +1 +home +1 +– +– +–$/m)
  t.match(status.stdout, /^CONV_0 +mirror +b +1 +0 +0\.0 s +level$/m)
  const own = JSON.parse((await run('streams', 'status', '--json')).stdout)
  t.match(
    own.find(({ stream }: { stream: string }) => stream === 'CONV_0'),
    { role: 'home', home: 'a', epoch: 1, mirrors: [{ region: 'b', last: 1, behind: 0 }], drift: [] },
  )
  const inB = await runConfab(['streams', 'status', '--nats', b!.url, '--topology', servers.topologyFile])
  t.equal(inB.code, 0, inB.stderr)
  t.match(inB.stdout, /^CONV_0 +mirror +a +b 0 behind +1 /m)
  t.match(inB.stdout, /^AUDIT +home +b +– /m)

  t.notMatch(
    readFileSync(servers.topologyFile, 'utf8'),
    passwordOf('operator'),
    'credentials are those of --nats',
  )
  await b!.stop()
  const without = await run('region', 'status')
  t.match(without, { code: 1, stderr: /^error NOT_READY: region b does not answer$/m })
  t.match(without.stdout, /^b +no +–$/m)
  t.match(without.stdout, /^CONV_0 +mirror +b +– +– +– +unknown$/m)
  t.match(await run('streams', 'apply'), {
    code: 1,
    stderr: /^error NO_SERVER: region b cannot be reached, so nothing was done: NATS cannot be reached/m,
  })
})
