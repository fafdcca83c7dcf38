import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { jetstreamManager } from '@nats-io/jetstream'
import { Kvm } from '@nats-io/kv'
import t from 'tap'
import { loadBuckets } from '../../../src/infra/nats/coordination/buckets.ts'
import { applyBuckets, openBucket, planBuckets } from '../../../src/infra/nats/coordination/kv-bucket.ts'
import { ownStreamsFolder } from '../../../src/infra/nats/log/stream-definitions.ts'
import { applyStreams, loadStreams } from '../../../src/infra/nats/log/streams.ts'
import { startNats } from '../../harness/nats.ts'
import { tempFolder } from '../../harness/temp-folder.ts'

const hour = 3_600_000

t.test('definitions: each wrong field is named with its place', async t => {
  const folder = tempFolder(t)
  cpSync(ownStreamsFolder(), folder, { recursive: true })
  const change = (file: string, from: string, to: string): void => {
    const path = join(folder, file)
    const text = readFileSync(path, 'utf8')
    t.ok(text.includes(from), from)
    writeFileSync(path, text.replace(from, to))
  }
  t.same(loadBuckets(folder), loadBuckets())
  change('buckets.yaml', 'max_age: 2d', 'max_age: 2 days')
  change('buckets.yaml', '  confab-leases:', '  confab-lease:')
  change('buckets.yaml', 'storage: file', 'storage: tape\n    history: 3')
  t.throws(() => loadBuckets(folder), {
    code: 'NATS_STREAMS',
    message: new RegExp(
      [
        'buckets\\.yaml: buckets\\.confab-projections\\.history: no such setting',
        'buckets\\.confab-projections\\.storage: "tape" is not file or memory',
        'buckets\\.confab-lease: confab has no such bucket',
        'buckets\\.confab-quotas\\.max_age: "2 days" is not a duration: write 500ms, 30s, 2m, 6h or 30d',
        'buckets\\.confab-leases: is missing$',
      ].join('; '),
    ),
  })
  change('conversations.yaml', 'max_bytes: -1', 'max_bytes: much\n  placement: {cluster: east, tag: x}')
  t.throws(() => loadStreams({ folder }), {
    code: 'NATS_STREAMS',
    message:
      /conversations\.yaml: config\.placement\.tag: no such setting; config\.max_bytes: "much" is not a whole number, or -1/,
  })
  change('conversations.yaml', 'max_bytes: much', 'max_bytes: 1000000')
  change('conversations.yaml', 'tag: x', 'tags: [ssd]')
  t.match(
    loadStreams({ folder }).find(({ name }) => name === 'CONV_0'),
    {
      placement: { cluster: 'east', tags: ['ssd'] },
      max_bytes: 1_000_000,
    },
  )
})

t.test('plan and apply', async t => {
  const nats = await (await startNats(t, { streams: false })).connect()
  const { connection } = nats
  const planned = await planBuckets(nats, { revocationsMs: hour })
  t.same(
    planned.changes.map(({ stream, field, destructive }) => [stream, field, destructive]),
    loadBuckets().map(({ name }) => [name, 'name', false]),
    'also before there is any stream',
  )
  await applyStreams(connection, loadStreams())
  await applyBuckets(nats, { revocationsMs: hour })
  t.same(await planBuckets(nats, { revocationsMs: hour }), { changes: [], kept: [] })
  const manager = await jetstreamManager(connection)
  const configOf = async (bucket: string) => (await manager.streams.info(`KV_${bucket}`)).config
  t.match(await configOf('confab-revocations'), { max_age: hour * 1e6, allow_rollup_hdrs: false })
  t.match(await configOf('confab-presence'), { allow_msg_ttl: true, storage: 'file' }, 'not clustered')

  const kv = await new Kvm(connection).open('confab-projections')
  for (let n = 0; n < 12; n++) await kv.put('search', `${n}`)
  const projections = await configOf('confab-projections')
  await manager.streams.update(projections.name, { ...projections, max_msgs_per_subject: 20 })
  const quotas = await configOf('confab-quotas')
  await manager.streams.update(quotas.name, { ...quotas, max_age: 3_600e9, description: 'by hand' })
  t.match(await planBuckets(nats, { revocationsMs: hour }), {
    changes: [
      { stream: 'KV_confab-projections', field: 'max_msgs_per_subject', from: 20, to: 8, destructive: true },
      { stream: 'KV_confab-quotas', field: 'max_age', from: 3_600e9, to: 172_800e9, destructive: false },
      { stream: 'KV_confab-quotas', field: 'description', from: 'by hand', destructive: false },
    ],
  })
  await t.rejects(applyBuckets(nats, { revocationsMs: hour }), {
    code: 'WOULD_LOSE_DATA',
    message: /--allow-loss KV_confab-projections/,
  })
  t.equal((await configOf('confab-quotas')).max_age, 3_600e9, 'nothing was changed')
  const changed: string[] = []
  await applyBuckets(nats, {
    revocationsMs: hour / 2,
    allowLoss: new Set(['KV_confab-projections']),
    onApplied: ({ stream, outcome, changed: fields }) => {
      if (outcome !== 'unchanged') changed.push([stream, ...fields].join(' '))
    },
  })
  t.same(changed, ['KV_confab-projections max_msgs_per_subject', 'KV_confab-quotas max_age description'])
  t.equal((await configOf('confab-revocations')).max_age, hour * 1e6, 'revocations are not kept shorter')
  await applyBuckets(nats, { revocationsMs: 2 * hour })
  t.equal((await configOf('confab-revocations')).max_age, 2 * hour * 1e6)
})

t.test('a process that opens a bucket changes nothing by which values are lost', async t => {
  const nats = await (await startNats(t)).connect()
  const manager = await jetstreamManager(nats.connection)
  const open = () => openBucket(nats, { bucket: 'confab-quotas', timeout: 3_000 })
  await (await open()).put('k', 'v')
  const { config } = await manager.streams.info('KV_confab-quotas')
  await manager.streams.update(config.name, { ...config, max_age: 0, description: 'by hand' })
  await open()
  t.match((await manager.streams.info(config.name)).config, { max_age: 0, description: 'by hand' })
  await manager.streams.update(config.name, { ...config, max_age: 3_600e9, allow_rollup_hdrs: true })
  await open()
  t.match((await manager.streams.info(config.name)).config, {
    max_age: 172_800e9,
    allow_rollup_hdrs: false,
  })
})
