import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { jetstream } from '@nats-io/jetstream'
import t from 'tap'
import {
  FolderFiles,
  type Manifest,
  planRestore,
  restoreBackup,
} from '../../../src/infra/nats/backup/index.ts'
import { writeManifest } from '../../../src/infra/nats/backup/manifest.ts'
import { streamNames } from '../../../src/infra/nats/index.ts'
import { openManager } from '../../../src/infra/nats/log/streams.ts'
import {
  append,
  backUp,
  digestOf,
  infoOf,
  restoreNewest,
  startEmpty,
  startFilled,
} from '../../harness/backups.ts'
import { startNats } from '../../harness/nats.ts'
import { startCluster } from '../../harness/nats-cluster.ts'
import { tempFolder } from '../../harness/temp-folder.ts'

const never = new AbortController().signal

t.test('a restored stream that differs from its manifest is deleted', async t => {
  const { nats } = await startFilled(t)
  const files = new FolderFiles(tempFolder(t))
  const { manifest } = await backUp(nats, files)
  const server = await startNats(t)
  const target = await server.connect()
  const before = await infoOf(target, 'CONV_0')
  const changes: Partial<Manifest['streams'][number]>[] = [
    { sha256: '0'.repeat(64) },
    { messages: 5, after: { first: 1, last: 240, messages: 5 } },
    { last: 500, after: { first: 1, last: 500, messages: 500 } },
    { bytes: 1 },
    { first: 3, after: { first: 3, last: 240, messages: 239 } },
  ]
  for (const change of changes) {
    const changed: Manifest = {
      ...manifest,
      streams: manifest.streams.map(one => (one.stream === 'CONV_0' ? { ...one, ...change } : one)),
    }
    writeFileSync(join(files.place, manifest.id, 'manifest.json'), writeManifest(changed, undefined))
    await t.rejects(restoreNewest(target, files), { code: 'BACKUP_DIFFERS' }, JSON.stringify(change))
    t.same(await streamNames(target.connection), ['AUDIT', 'CONV_0', 'DEAD_LETTERS', 'SNAPSHOTS', 'USER_0'])
    const { config, state } = await infoOf(target, 'CONV_0')
    t.same(config, before.config, 'the empty stream is there again')
    t.equal(state.last_seq, 0)
  }
})

t.test('a target with messages is left alone', async t => {
  const { nats } = await startFilled(t)
  const files = new FolderFiles(tempFolder(t))
  const { manifest } = await backUp(nats, files)
  const server = await startNats(t)
  const target = await server.connect()
  await append(target, ['other'], 3)
  const digest = await digestOf(target, 'CONV_0')
  await t.rejects(restoreNewest(target, files), { code: 'TARGET_NOT_EMPTY' })
  await t.rejects(restoreNewest(target, files, { streams: ['CONV_0'] }), { code: 'TARGET_NOT_EMPTY' })
  t.equal(await digestOf(target, 'CONV_0'), digest)
  t.same(await streamNames(target.connection), ['AUDIT', 'CONV_0', 'DEAD_LETTERS', 'SNAPSHOTS', 'USER_0'])

  await restoreNewest(target, files, { streams: ['CONV_0'], as: 'OLD' })
  t.same((await infoOf(target, 'OLD')).config.subjects, ['restored.OLD'], 'CONV_0 takes its subjects')
  t.equal(await digestOf(target, 'OLD'), await digestOf(nats, 'CONV_0'))
  t.equal(await digestOf(target, 'CONV_0'), digest)
  // Running it again finds the finished copy.
  const chosen = manifest.streams.filter(({ stream }) => stream === 'CONV_0')
  t.match(await planRestore(target, manifest, chosen, 'OLD'), [{ outcome: 'restored' }])

  const empty = await startEmpty(t)
  await restoreNewest(empty, files, { streams: ['CONV_0'], as: 'RENAMED' })
  t.same((await infoOf(empty, 'RENAMED')).config.subjects, ['conv.*.*'], 'the subjects are free')
  await t.rejects(
    restoreNewest(empty, files, { streams: ['CONV_0'] }),
    { code: 'TARGET_NOT_EMPTY' },
    'another stream has the subjects',
  )
})

t.test('a target that changes after the plan is left alone', async t => {
  const { nats } = await startFilled(t)
  const files = new FolderFiles(tempFolder(t))
  const { manifest } = await backUp(nats, files)
  const chosen = manifest.streams.filter(({ stream }) => stream === 'CONV_0' || stream === 'USER_0')
  const options = { key: undefined, signal: never, onProgress: () => {}, onNotice: () => {} }

  // The stream did not exist when the restore was planned.
  const created = await startEmpty(t)
  const planned = await planRestore(created, manifest, chosen, undefined)
  const manager = await openManager(created.connection)
  await manager.streams.add({ name: 'CONV_0', subjects: ['conv.*.*'] })
  await t.rejects(restoreBackup(created, files, manifest, planned, options), {
    code: 'TARGET_NOT_EMPTY',
    message: /CONV_0 was created after the plan/,
  })
  t.same((await infoOf(created, 'CONV_0')).config.subjects, ['conv.*.*'])
  t.same(await streamNames(created.connection), ['CONV_0'], 'the copy of USER_0 is removed')

  // The stream was empty when the restore was planned.
  const written = await (await startNats(t)).connect()
  const replaced = await planRestore(written, manifest, chosen, undefined)
  await append(written, ['other'], 3)
  const digest = await digestOf(written, 'CONV_0')
  await t.rejects(restoreBackup(written, files, manifest, replaced, options), {
    code: 'TARGET_NOT_EMPTY',
    message: /CONV_0 was written to after the plan/,
  })
  t.equal(await digestOf(written, 'CONV_0'), digest)
  t.equal((await infoOf(written, 'USER_0')).state.messages, 0, 'the empty USER_0 is there again')
})

t.test('a failed restore leaves streams that others have made meanwhile', async t => {
  const { nats } = await startFilled(t)
  const files = new FolderFiles(tempFolder(t))
  await backUp(nats, files)
  const target = await startEmpty(t)
  const manager = await openManager(target.connection)
  const controller = new AbortController()
  let made: Promise<unknown> = Promise.resolve()
  const onProgress = ({ stream }: { stream: string }): void => {
    if (stream !== 'CONV_0' || controller.signal.aborted) return
    // Another process puts its own stream in the place of one that this restore has finished.
    made = manager.streams
      .delete('USER_0')
      .then(() => manager.streams.add({ name: 'USER_0', subjects: ['user.*.*'] }))
      .then(() => jetstream(target.connection).publish('user.0.carol', '{}'))
    controller.abort(new Error('stopped'))
  }
  await t.rejects(restoreNewest(target, files, { signal: controller.signal, onProgress }), {
    message: 'stopped',
  })
  await made
  t.same(await streamNames(target.connection), ['USER_0'])
  t.equal((await infoOf(target, 'USER_0')).state.messages, 1)
})

t.test('snapshots of aggregates do not survive the restore of the log', async t => {
  const { nats } = await startFilled(t)
  const files = new FolderFiles(tempFolder(t))
  await backUp(nats, files)
  const server = await startNats(t)
  const target = await server.connect()
  await jetstream(target.connection).publish('snap.conv.two', '{"seq":9999}')
  await restoreNewest(target, files)
  t.equal((await infoOf(target, 'SNAPSHOTS')).state.messages, 0)
})

t.test('an interrupted restore leaves nothing, and continues when it runs again', async t => {
  const { nats } = await startFilled(t)
  const files = new FolderFiles(tempFolder(t))
  const { manifest } = await backUp(nats, files)
  const target = await startEmpty(t)
  for (const stop of ['USER_0', 'CONV_0', 'KV_confab-revocations']) {
    const controller = new AbortController()
    const onProgress = ({ stream }: { stream: string }): void => {
      if (stream === stop) controller.abort(new Error('stopped'))
    }
    await t.rejects(restoreNewest(target, files, { signal: controller.signal, onProgress }), {
      message: 'stopped',
    })
    t.same(await streamNames(target.connection), [], stop)
  }
  // A process that is killed leaves copies, or some streams that are finished.
  const manager = await openManager(target.connection)
  const metadata = { 'confab.restored': manifest.id }
  await manager.streams.add({ name: 'CONV_0', subjects: ['restored.CONV_0'], metadata })
  await jetstream(target.connection).publish('restored.CONV_0', 'half')
  await restoreNewest(target, files, { streams: ['USER_0'] })
  const targets = await planRestore(target, manifest, manifest.streams, undefined)
  t.same(
    targets.map(({ outcome }) => outcome),
    ['restored', 'replace unfinished', 'create', 'create', 'create', 'create'],
  )
  await restoreBackup(target, files, manifest, targets, {
    key: undefined,
    signal: never,
    onProgress: () => {},
    onNotice: () => {},
  })
  for (const { stream } of manifest.streams)
    t.equal(await digestOf(target, stream), await digestOf(nats, stream))
})

t.test('a log with three replicas is restored to a cluster, and to a single server', async t => {
  const cluster = await startCluster(t)
  const nats = await cluster.connect()
  await append(nats, ['one'], 500)
  const files = new FolderFiles(tempFolder(t))
  await backUp(nats, files)
  await restoreNewest(nats, files, { streams: ['CONV_0'], as: 'COPY' })
  const copy = await infoOf(nats, 'COPY')
  t.equal(copy.config.num_replicas, 3)
  t.equal(copy.state.last_seq, 500)
  const single = await startEmpty(t)
  await restoreNewest(single, files)
  const { config, state } = await infoOf(single, 'CONV_0')
  t.equal(config.num_replicas, 1)
  t.same(config.subjects, ['conv.*.*'])
  t.equal(state.last_seq, 500)
})
