import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { cpSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { StreamInfo } from '@nats-io/jetstream'
import t from 'tap'
import {
  FolderFiles,
  findBackup,
  parseBackupKey,
  verifyBackup,
} from '../../../src/infra/nats/backup/index.ts'
import { writeManifest } from '../../../src/infra/nats/backup/manifest.ts'
import { digestStream } from '../../../src/infra/nats/backup/stream-digest.ts'
import { discoverLog, JetStreamEventLog, streamNames } from '../../../src/infra/nats/index.ts'
import { openManager } from '../../../src/infra/nats/log/streams.ts'
import { conversation, newEvent } from '../../contracts/new-events.ts'
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
import { tempFolder } from '../../harness/temp-folder.ts'

const never = new AbortController().signal

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

t.test('a verified copy is deleted', async t => {
  const { nats } = await startFilled(t)
  const files = new FolderFiles(tempFolder(t))
  const { manifest } = await backUp(nats, files)
  const names = await streamNames(nats.connection)
  const options = { key: undefined, signal: never, onProgress: () => {}, onNotice: () => {} }
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
