import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { cpSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { jetstream, type StreamInfo } from '@nats-io/jetstream'
import t, { type Test } from 'tap'
import {
  FolderFiles,
  findBackup,
  type Manifest,
  parseBackupKey,
  planRestore,
  restoreBackup,
  verifyBackup,
} from '../../../src/infra/nats/backup/index.ts'
import { writeManifest } from '../../../src/infra/nats/backup/manifest.ts'
import { digestStream } from '../../../src/infra/nats/backup/stream-digest.ts'
import {
  discoverLog,
  JetStreamEventLog,
  type Nats,
  openNatsPlans,
  openRevocationBucket,
  streamNames,
} from '../../../src/infra/nats/index.ts'
import { openManager } from '../../../src/infra/nats/log/streams.ts'
import { conversation, newEvent, newEvents, user } from '../../contracts/new-events.ts'
import { backUp, restoreNewest } from '../../harness/backups.ts'
import { startNats, type TestNats } from '../../harness/nats.ts'
import { startCluster } from '../../harness/nats-cluster.ts'
import { tempFolder } from '../../harness/temp-folder.ts'

const never = new AbortController().signal

const infoOf = async (nats: Nats, stream: string): Promise<StreamInfo> =>
  (await openManager(nats.connection)).streams.info(stream)

const digestOf = async (nats: Nats, stream: string): Promise<string> => {
  const { state } = await infoOf(nats, stream)
  return digestStream(nats, stream, { first: 1, last: state.last_seq }, 'all', never)
}

/** Appends events to conversations of these names, which may be new. */
const append = async (nats: Nats, names: readonly string[], count: number): Promise<void> => {
  const log = new JetStreamEventLog(nats, await discoverLog(nats.connection))
  for (const name of names) {
    const { position } = await log.append(conversation(name), 0, [newEvent(1)])
    let last = position.streamSeq
    for (let seq = 2; seq <= count; seq += 50)
      last = (await log.append(conversation(name), last, newEvents(seq, Math.min(50, count + 1 - seq))))
        .position.streamSeq
  }
  log.close()
}

/** A server with events, a deleted event, a dead letter, a plan and revocations. */
const startFilled = async (t: Test): Promise<{ server: TestNats; nats: Nats }> => {
  const server = await startNats(t)
  const nats = await server.connect()
  await append(nats, ['one', 'two'], 120)
  const log = new JetStreamEventLog(nats, await discoverLog(nats.connection))
  await log.append(user('alice'), 0, [newEvent(1), newEvent(2)])
  log.close()
  await (await openManager(nats.connection)).streams.deleteMessage('CONV_0', 7)
  const plans = await openNatsPlans(nats)
  await plans.update('inbox', () => ({ live: 1, generations: [] }) as never)
  const revocations = await openRevocationBucket(nats, { keepMs: 3_600_000 })
  await revocations.put({ of: 'user', user: 'bob', before: Date.now() })
  revocations.close()
  await jetstream(nats.connection).publish('dead.inbox', '{}')
  return { server, nats }
}

/** A server without streams. */
const startEmpty = async (t: Test): Promise<Nats> => (await startNats(t, { streams: false })).connect()

const key = async (): Promise<NonNullable<Awaited<ReturnType<typeof parseBackupKey>>>> => {
  const made = await parseBackupKey(randomBytes(32))
  if (made === undefined) throw new Error('no key')
  return made
}

for (const isEncrypted of [false, true])
  t.test(`a backup is restored into an empty server${isEncrypted ? ', encrypted' : ''}`, async t => {
    const { nats } = await startFilled(t)
    const files = new FolderFiles(join(tempFolder(t), 'backups'))
    const withKey = isEncrypted ? { key: await key() } : {}
    const { manifest } = await backUp(nats, files, withKey)
    t.same(
      manifest.streams.map(({ stream }) => stream),
      ['USER_0', 'CONV_0', 'DEAD_LETTERS', 'AUDIT', 'KV_confab-projections', 'KV_confab-revocations'],
    )
    const folder = join(files.place, manifest.id)
    t.equal(statSync(folder).mode & 0o777, 0o700)
    for (const name of readdirSync(folder)) t.equal(statSync(join(folder, name)).mode & 0o777, 0o600, name)

    const target = await startEmpty(t)
    const restored = await restoreNewest(target, files, withKey)
    for (const [index, { stream, sha256 }] of restored.entries()) {
      const [was, is] = [await infoOf(nats, stream), await infoOf(target, stream)]
      const { metadata, ...config } = is.config
      t.match(metadata, { ...was.config.metadata, 'confab.restored': manifest.id })
      t.same(config, (({ metadata: _, ...rest }) => rest)(was.config), `${stream}: settings`)
      const facts = ({ messages, bytes, first_seq, last_seq, num_deleted }: StreamInfo['state']) => [
        messages,
        bytes,
        // An empty stream may have 0 or 1 here.
        messages === 0 ? 0 : first_seq,
        last_seq,
        num_deleted,
      ]
      t.same(facts(is.state), facts(was.state), `${stream}: state`)
      t.equal(await digestOf(target, stream), await digestOf(nats, stream), `${stream}: messages`)
      t.equal(sha256, manifest.streams[index]?.sha256)
    }
    t.equal((await infoOf(target, 'CONV_0')).state.num_deleted, 1)
  })

t.test('a restored log takes appends where the original would, and refuses the others', async t => {
  const { nats } = await startFilled(t)
  const files = new FolderFiles(tempFolder(t))
  await backUp(nats, files)
  const target = await startEmpty(t)
  await restoreNewest(target, files)
  const log = new JetStreamEventLog(target, await discoverLog(target.connection))
  t.teardown(() => log.close())
  const events = []
  for await (const batch of log.read(conversation('two'), 0)) events.push(...batch)
  const last = events.at(-1)
  t.equal(events.length, 120)
  await t.rejects(log.append(conversation('two'), (last?.streamSeq ?? 0) - 1, [newEvent(121)]), {
    name: /Conflict/,
  })
  // The server has forgotten the message ids: the expectation refuses the command that is sent again.
  const again = newEvent(120, { commandId: last?.envelope.commandId ?? '' })
  await t.rejects(log.append(conversation('two'), events.at(-2)?.streamSeq ?? 0, [again]))
  const { position } = await log.append(conversation('two'), last?.streamSeq ?? 0, [newEvent(121)])
  t.equal(position.streamSeq, (await infoOf(nats, 'CONV_0')).state.last_seq + 1)
  const live = target.connection.subscribe('live.conv.>', { max: 1 })
  await log.append(conversation('two'), position.streamSeq, [newEvent(122)])
  for await (const { subject } of live) t.match(subject, /^live\.conv\.\d+\.two$/)
})

t.test('a backup under load is a prefix of the log', async t => {
  const server = await startNats(t)
  const nats = await server.connect()
  const writer = await server.connect()
  await append(nats, ['first'], 5_000)
  let isOver = false
  const load = (async () => {
    for (let index = 0; !isOver; index++) await append(writer, [`load${index}`], 60)
  })()
  const files = new FolderFiles(tempFolder(t))
  const { manifest } = await backUp(nats, files, { streams: ['CONV_0'] })
  isOver = true
  await load
  const target = await startEmpty(t)
  const [restored] = await restoreNewest(target, files)
  t.ok((restored?.last ?? 0) >= (manifest.streams[0]?.last ?? Number.POSITIVE_INFINITY))
  t.equal(restored?.messages, restored?.last)
  const range = { first: 1, last: restored?.last ?? 0 }
  t.equal(
    await digestStream(target, 'CONV_0', range, 'all', never),
    await digestStream(nats, 'CONV_0', range, 'all', never),
  )
})

t.test('samples of a long stream are the same before and after', async t => {
  const server = await startNats(t)
  const nats = await server.connect()
  await append(nats, ['long'], 17_000)
  const files = new FolderFiles(tempFolder(t))
  const { manifest } = await backUp(nats, files)
  const range = { first: 1, last: 17_000 }
  const found = await digestStream(nats, 'CONV_0', range, 'samples', never)
  t.equal(manifest.streams.find(({ stream }) => stream === 'CONV_0')?.sha256, found)
  t.not(await digestStream(nats, 'CONV_0', range, 'all', never), found)
  await restoreNewest(await startEmpty(t), files)
})

/** Flips a bit of the byte at a share of a file's length. */
const flip = (path: string, share: number): void => {
  const content = readFileSync(path)
  const at = Math.min(content.length - 1, Math.floor(content.length * share))
  content[at] = (content[at] ?? 0) ^ 0x04
  writeFileSync(path, content)
}

const rewrite = (path: string, change: (text: string) => string): void =>
  writeFileSync(path, change(readFileSync(path, 'utf8')))

const snapshot = 'CONV_0.snapshot'
const faults: Record<string, (folder: string) => void> = {
  ...Object.fromEntries(
    [snapshot, 'USER_0.snapshot', 'KV_confab-projections.snapshot', 'manifest.json'].flatMap(name =>
      [0, 0.1, 0.5, 0.9, 1].map(share => [
        `flipped bit in ${name} at ${share}`,
        (folder: string) => flip(join(folder, name), share),
      ]),
    ),
  ),
  'truncated snapshot': folder => truncateSync(join(folder, snapshot), 1_000),
  'empty snapshot': folder => truncateSync(join(folder, snapshot), 0),
  'missing snapshot': folder => rmSync(join(folder, snapshot)),
  'snapshot of another stream': folder => cpSync(join(folder, 'USER_0.snapshot'), join(folder, snapshot)),
  'truncated manifest': folder => truncateSync(join(folder, 'manifest.json'), 700),
  'empty manifest': folder => truncateSync(join(folder, 'manifest.json'), 0),
  'foreign manifest': folder => writeFileSync(join(folder, 'manifest.json'), '{"name":"an app"}'),
  'manifest that is no object': folder => writeFileSync(join(folder, 'manifest.json'), 'null'),
  'newer format': folder =>
    rewrite(join(folder, 'manifest.json'), text => text.replace('"version": 1', '"version": 2')),
  'manifest with another count': folder =>
    rewrite(join(folder, 'manifest.json'), text => text.replace(/"messages": \d+/, '"messages": 5')),
  'manifest with other spaces': folder => rewrite(join(folder, 'manifest.json'), text => `${text} `),
}

t.test('a damaged backup is refused, and leaves nothing', async t => {
  const { nats } = await startFilled(t)
  const original = new FolderFiles(tempFolder(t))
  const { manifest } = await backUp(nats, original)
  const target = await startEmpty(t)
  for (const [fault, damage] of Object.entries(faults)) {
    const files = new FolderFiles(tempFolder(t))
    cpSync(original.place, files.place, { recursive: true })
    damage(join(files.place, manifest.id))
    await t.rejects(restoreNewest(target, files), { code: 'BACKUP_DAMAGED' }, fault)
    t.same(await streamNames(target.connection), [], `${fault}: nothing is left`)
  }
  const other = new FolderFiles(tempFolder(t))
  cpSync(join(original.place, manifest.id), join(other.place, '20200101T000000000Z-abcd'), {
    recursive: true,
  })
  await t.rejects(restoreNewest(target, other), { code: 'BACKUP_DAMAGED' }, 'manifest of another backup')
  await restoreNewest(target, original)
})

t.test('keys', async t => {
  const { nats } = await startFilled(t)
  const target = await startEmpty(t)
  const files = new FolderFiles(tempFolder(t))
  const [right, wrong] = [await key(), await key()]
  const { manifest } = await backUp(nats, files, { key: right })
  const folder = join(files.place, manifest.id)
  for (const name of readdirSync(folder))
    if (name !== 'manifest.json')
      t.match(readFileSync(join(folder, name), 'latin1'), /^age-encryption\.org\/v1\n-> X25519 /, name)
  await t.rejects(restoreNewest(target, files, { key: wrong }), { name: 'Error', message: /another key/ })
  await t.rejects(restoreNewest(target, files), { message: /encrypted with a key/ })
  const plain = new FolderFiles(tempFolder(t))
  await backUp(nats, plain)
  await t.rejects(restoreNewest(target, plain, { key: right }), { message: /not encrypted/ })
  // A holder of the files without the key makes a manifest that fits changed files.
  const forged = new FolderFiles(tempFolder(t))
  cpSync(files.place, forged.place, { recursive: true })
  writeFileSync(join(forged.place, manifest.id, 'manifest.json'), writeManifest(manifest, wrong))
  await t.rejects(restoreNewest(target, forged, { key: right }), { code: 'BACKUP_DAMAGED' })
  t.same(await streamNames(target.connection), [])

  for (const content of [
    Buffer.alloc(0),
    Buffer.alloc(31),
    Buffer.from('a password'),
    Buffer.from('age1abc'),
  ])
    t.equal(await parseBackupKey(content), undefined)
  const raw = randomBytes(32)
  const asText = await parseBackupKey(Buffer.from(`${raw.toString('hex')}\n`))
  t.equal(asText?.fingerprint, (await parseBackupKey(raw))?.fingerprint)
  const identity = 'AGE-SECRET-KEY-10ZM3L4RKT63V7WZDESHA8V6D45JM0UXTAG3MG48XNUWXUF3RZYHS4XCE8V'
  t.ok(await parseBackupKey(Buffer.from(`# created: now\n# public key: age1…\n${identity}\n`)))
  t.equal(await parseBackupKey(Buffer.from(identity.replace('ZM3', 'ZM4'))), undefined)
})

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
  })
  for (const { stream } of manifest.streams)
    t.equal(await digestOf(target, stream), await digestOf(nats, stream))
})

t.test('a backup that does not finish is never restored', async t => {
  const { server, nats } = await startFilled(t)
  const files = new FolderFiles(tempFolder(t))
  const first = await backUp(nats, files)
  const controller = new AbortController()
  const stopped = backUp(nats, files, { signal: controller.signal })
  controller.abort(new Error('stopped'))
  await t.rejects(stopped, { message: 'stopped' })
  t.same(await files.backups(), [first.manifest.id], 'its files are removed')
  // A killed process cannot remove them.
  const left = `${new Date(Date.now() + 1000).toISOString().replaceAll(/[-:.]/g, '')}-ffff`
  cpSync(join(files.place, first.manifest.id), join(files.place, left), { recursive: true })
  rmSync(join(files.place, left, 'manifest.json'))
  const unfinished: string[] = []
  const found = await findBackup(files, { key: undefined, onUnfinished: id => unfinished.push(id) })
  t.equal(found?.id, first.manifest.id)
  t.same(unfinished, [left])

  await append(nats, ['big'], 20_000)
  const { promise: isReading, resolve } = Promise.withResolvers<void>()
  const running = backUp(nats, files, {
    onProgress: ({ stream }) => {
      if (stream === 'CONV_0') resolve()
    },
  })
  running.catch(() => {})
  await isReading
  await server.kill9()
  await t.rejects(running, { code: 'NATS_SERVER_FAILED' })
  t.same(await files.backups(), [first.manifest.id, left])
  await server.restart()
})

t.test('streams that have not changed are not read again', async t => {
  const { nats } = await startFilled(t)
  const files = new FolderFiles(tempFolder(t))
  const first = await backUp(nats, files)
  t.same(first.reused, [])
  await append(nats, ['more'], 3)
  const second = await backUp(nats, files)
  t.same(second.reused, ['USER_0', 'DEAD_LETTERS', 'AUDIT', 'KV_confab-projections', 'KV_confab-revocations'])
  t.equal(second.manifest.previous, first.manifest.id)
  // The first backup is not needed any more.
  await files.remove(first.manifest.id)
  await restoreNewest(await startEmpty(t), files)

  flip(join(files.place, second.manifest.id, 'USER_0.snapshot'), 0.5)
  const notices: string[] = []
  const third = await backUp(nats, files, { onNotice: notice => notices.push(notice) })
  t.same(third.reused, ['CONV_0', 'DEAD_LETTERS', 'AUDIT', 'KV_confab-projections', 'KV_confab-revocations'])
  t.match(notices, [/USER_0 .* is damaged/])
  await restoreNewest(await startEmpty(t), files)
})

t.test('a time selects the newest backup that was finished by then', async t => {
  const { nats } = await startFilled(t)
  const files = new FolderFiles(tempFolder(t))
  const ids: string[] = []
  const times: Date[] = []
  for (let index = 0; index < 2; index++) {
    const { manifest } = await backUp(nats, files, { streams: ['USER_0'] })
    ids.push(manifest.id)
    times.push(new Date(manifest.finishedAt))
    await once(AbortSignal.timeout(10), 'abort')
  }
  const at = async (time: number) => (await findBackup(files, { key: undefined, at: new Date(time) }))?.id
  t.equal(await at(times[1]?.getTime() ?? 0), ids[1])
  t.equal(await at((times[1]?.getTime() ?? 0) - 1), ids[0])
  t.equal(await at((times[0]?.getTime() ?? 0) - 1), undefined)
})

t.test('a stream whose last messages were deleted', async t => {
  const { nats } = await startFilled(t)
  const manager = await openManager(nats.connection)
  for (const seq of [239, 240]) await manager.streams.deleteMessage('CONV_0', seq)
  for (const seq of [1, 2]) await manager.streams.deleteMessage('USER_0', seq)
  const files = new FolderFiles(tempFolder(t))
  await backUp(nats, files)
  const target = await startEmpty(t)
  await restoreNewest(target, files)
  for (const stream of ['CONV_0', 'USER_0']) {
    const [was, is] = [await infoOf(nats, stream), await infoOf(target, stream)]
    t.equal(is.state.last_seq, was.state.last_seq, `${stream}: no sequence is given twice`)
    t.equal(is.state.messages, was.state.messages)
  }
})

t.test('messages that are removed during a backup are not missed', async t => {
  const { nats } = await startFilled(t)
  const files = new FolderFiles(tempFolder(t))
  const manager = await openManager(nats.connection)
  const removed: Promise<unknown>[] = []
  const notices: string[] = []
  const { manifest } = await backUp(nats, files, {
    streams: ['CONV_0'],
    onProgress: () => removed.push(manager.streams.deleteMessage('CONV_0', 10 + removed.length)),
    onNotice: notice => notices.push(notice),
  })
  await Promise.all(removed)
  t.ok(removed.length > 0)
  t.equal(manifest.streams[0]?.sha256, undefined)
  t.match(notices, [/messages of CONV_0 were removed/])
  await restoreNewest(await startEmpty(t), files)
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

t.test('a verified copy is deleted', async t => {
  const { nats } = await startFilled(t)
  const files = new FolderFiles(tempFolder(t))
  const { manifest } = await backUp(nats, files)
  const names = await streamNames(nats.connection)
  const options = { key: undefined, signal: never, onProgress: () => {} }
  const verified = await verifyBackup(nats, files, manifest, manifest.streams, options)
  t.same(
    verified.map(({ stream, sha256 }) => [stream, sha256]),
    manifest.streams.map(({ stream, sha256 }) => [stream, sha256]),
  )
  t.same(await streamNames(nats.connection), names)
  flip(join(files.place, manifest.id, 'USER_0.snapshot'), 0.5)
  await t.rejects(verifyBackup(nats, files, manifest, manifest.streams, options), { code: 'BACKUP_DAMAGED' })
  t.same(await streamNames(nats.connection), names)
})

t.test('a folder that cannot be written is named', async t => {
  const { nats } = await startFilled(t)
  const folder = tempFolder(t)
  writeFileSync(join(folder, 'file'), '')
  const files = new FolderFiles(join(folder, 'file'))
  await t.rejects(backUp(nats, files), { code: 'BACKUP_FAILED', message: /file/ })
})
