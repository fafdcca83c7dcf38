import { join } from 'node:path'
import { jetstream, type StreamConfig } from '@nats-io/jetstream'
import t from 'tap'
import { openManager } from '../../src/infra/nats/log/streams.ts'
import { spawnConfab, untilReady } from '../harness/confab-process.ts'
import { startNats } from '../harness/nats.ts'
import { runConfab } from '../harness/replay.ts'
import { tempFolder } from '../harness/temp-folder.ts'

t.test('streams plan, apply and status', async t => {
  const nats = await startNats(t, { streams: false })
  const place = ['--nats', nats.url, '--data', join(tempFolder(t), 'nothing')]
  const run = (...args: string[]) => runConfab(['streams', ...args, ...place])
  const { connection } = await nats.connect()
  const manager = await openManager(connection)

  const first = await run('plan')
  t.equal(first.code, 0, first.stderr)
  t.match(first.stdout, /^CONV_0 +name +– +CONV_0 +created$/m)
  const created = await run('apply', '--json')
  t.equal(created.code, 0, created.stderr)
  const outcomes = JSON.parse(created.stdout) as { stream: string; outcome: string; changed: string[] }[]
  t.same(
    outcomes.find(({ stream }) => stream === 'CONV_0'),
    { stream: 'CONV_0', outcome: 'created', changed: [] },
  )
  const level = await run('plan')
  t.match(level, { code: 0, stdout: '', stderr: /^all streams are as defined$/m })

  const { config } = await manager.streams.info('DEAD_LETTERS')
  const year = 365 * 86_400e9
  await manager.streams.update('DEAD_LETTERS', { ...config, max_age: year, max_msgs: -1 } as StreamConfig)
  await jetstream(connection).publish('dead.search', 'x')
  const losing = await run('plan')
  t.equal(losing.code, 0)
  t.match(losing.stdout, /^DEAD_LETTERS +max_age +365d +90d +loses messages$/m)
  t.match(losing.stdout, /^DEAD_LETTERS +max_msgs +no limit +1,000,000 +loses messages$/m)
  t.match(losing.stderr, /^"confab streams apply" refuses these changes without --allow-loss DEAD_LETTERS$/m)
  t.same(JSON.parse((await run('plan', '--json')).stdout), {
    changes: [
      { stream: 'DEAD_LETTERS', field: 'max_msgs', from: -1, to: 1_000_000, destructive: true },
      { stream: 'DEAD_LETTERS', field: 'max_age', from: year, to: 90 * 86_400e9, destructive: true },
    ],
  })
  const refused = await run('apply')
  t.match(refused, {
    code: 1,
    stdout: '',
    stderr: /^error WOULD_LOSE_DATA: DEAD_LETTERS holds messages .*--allow-loss/m,
  })
  const status = await run('status')
  t.match(status, { code: 1, stderr: /error NOT_READY: .*streams plan/ })
  t.equal((await run('apply', '--allow-loss', 'DEAD_LETTERS')).code, 0)

  const well = await run('status')
  t.equal(well.code, 0, well.stderr)
  const [head = '', ...rows] = well.stdout.split('\n')
  const conv = rows.find(row => row.startsWith('CONV_0')) ?? ''
  t.match(
    head,
    /^stream +messages +size +subjects +last +msgs\/s +missing +replicas +leader +not current +full in +as defined$/,
  )
  t.match(conv, /^CONV_0 +0 +0 B +0 +0 +0\.0 +0 +1\/1 +test +– +– +yes$/)
})

t.test('a process checks the streams of existing servers and changes nothing', async t => {
  const nats = await startNats(t, { streams: false })
  const data = join(tempFolder(t), 'data')
  const serve = () => runConfab(['serve', '--dev', '--port', '0', '--nats', nats.url, '--data', data])
  const { connection } = await nats.connect()
  const manager = await openManager(connection)
  const settings = async () => (await manager.streams.info('CONV_0')).config
  t.match(await serve(), {
    code: 1,
    stderr: /NATS_STREAMS.*streams missing: .*CONV_0, .*confab streams apply/s,
  })
  t.equal((await manager.streams.list().next()).length, 0)

  await nats.applyStreams()
  await manager.streams.delete('DEAD_LETTERS')
  t.match(await serve(), { code: 1, stderr: /NATS_STREAMS.*stream missing: DEAD_LETTERS: create with/ })
  await nats.applyStreams()
  const defined = await settings()
  await manager.streams.update('CONV_0', { ...defined, max_age: 3_600e9 })
  t.match(await serve(), {
    code: 1,
    stderr: /NATS_STREAMS.*max_age of CONV_0: not as defined, so the stream may lose events/s,
  })
  t.equal((await settings()).max_age, 3_600e9)

  await manager.streams.update('CONV_0', { ...defined, description: 'by hand' })
  const confab = await untilReady(await spawnConfab({ data, nats: nats.url }))
  t.teardown(() => confab.stop())
  t.match(confab.output(), /streams differ from their definitions: description of CONV_0/)
  t.equal((await settings()).description, 'by hand')
})

t.test('an apply that fails shows and records what it changed', async t => {
  const nats = await startNats(t, { streams: false })
  const place = ['--nats', nats.url, '--data', join(tempFolder(t), 'nothing')]
  const { connection } = await nats.connect()
  const manager = await openManager(connection)
  await manager.streams.add({ name: 'USER_0', subjects: ['user.*.*'], storage: 'memory' })
  const failed = await runConfab(['streams', 'apply', ...place])
  t.match(failed, { code: 1, stderr: /^error NATS_STREAMS: stream USER_0: .* cannot be set as defined/m })
  t.match(failed.stdout, /^AUDIT +created$/m)
  t.match(failed.stdout, /^CONV_0 +created$/m)
  t.notMatch(failed.stdout, /USER_0/)
  const { stdout } = await runConfab(['audit', 'ls', '--json', ...place])
  t.match(stdout, /"action": ?"streams.apply"/)
  t.match(stdout, /"CONV_0": ?"created"/)
  t.match(stdout, /"outcome": ?"failed"/)

  await manager.streams.delete('USER_0')
  await manager.streams.delete('AUDIT')
  await manager.streams.update('SNAPSHOTS', { max_msgs_per_subject: 5 } as never)
  for (let n = 0; n < 2; n++) await jetstream(connection).publish('snap.conv.a', 'x')
  const refused = await runConfab(['streams', 'apply', '--json', ...place])
  t.match(refused, { code: 1, stderr: /error WOULD_LOSE_DATA: SNAPSHOTS/ })
  t.same(
    JSON.parse(refused.stdout).map(({ stream, outcome }: Record<string, string>) => `${stream} ${outcome}`),
    ['AUDIT created', 'USER_0 created'],
  )
  const records = await runConfab(['audit', 'ls', '--json', ...place])
  t.match(records.stdout, /"code": ?"WOULD_LOSE_DATA"/, 'the refusal is in the new audit stream')
})
