import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { FolderFiles, findBackup, type Manifest, runBackup } from '../../../src/infra/nats/backup/index.ts'
import type { Nats } from '../../../src/infra/nats/index.ts'
import { append, restoreNewest, startEmpty, startFilled } from '../../harness/backups.ts'
import { cannotMount, mountDisk } from '../../harness/mounted-disk.ts'
import { tempFolder } from '../../harness/temp-folder.ts'

type Options = Parameters<typeof runBackup>[2]

const run = (nats: Nats, files: FolderFiles, options: Partial<Options> = {}) =>
  runBackup(nats, files, {
    key: undefined,
    verify: true,
    keep: undefined,
    confab: '0.0.0',
    signal: new AbortController().signal,
    onProgress: () => {},
    onNotice: () => {},
    ...options,
  })

/** A folder that changes files when the manifest, the last file of a backup, is written. */
class DamagingFiles extends FolderFiles {
  damage: ((backup: string) => void) | undefined

  override async write(name: string, chunks: AsyncIterable<Uint8Array>) {
    const written = await super.write(name, chunks)
    const [backup = '', file] = name.split('/')
    if (file === 'manifest.json') this.damage?.(join(this.place, backup))
    return written
  }
}

/** A folder that writes another content than it is given under one name. */
class SwappingFiles extends FolderFiles {
  swapped: { readonly name: string; readonly content: Uint8Array } | undefined

  override write(name: string, chunks: AsyncIterable<Uint8Array>) {
    const { swapped } = this
    if (swapped === undefined || !name.endsWith(swapped.name)) return super.write(name, chunks)
    const drained = async function* () {
      for await (const _ of chunks);
      yield swapped.content
    }
    return super.write(name, drained())
  }
}

t.test('a backup that cannot be restored is removed, and removes no other one', async t => {
  const { nats } = await startFilled(t)
  const damaging = new DamagingFiles(tempFolder(t))
  const keep = { last: 1, daily: 0, weekly: 0, monthly: 0 }
  const good = await run(nats, damaging, { keep })
  damaging.damage = folder => {
    const file = join(folder, 'USER_0.snapshot')
    const content = readFileSync(file)
    content[content.length >> 1]! ^= 0xff
    // The file of the backup before is the same one, by a hard link.
    rmSync(file)
    writeFileSync(file, content)
  }
  await t.rejects(run(nats, damaging, { keep }), { code: 'BACKUP_DAMAGED' })
  t.same(await damaging.backups(), [good.manifest.id])

  const swapping = new SwappingFiles(tempFolder(t))
  const { manifest } = await run(nats, swapping, { verify: false })
  const content = readFileSync(join(swapping.place, manifest.id, 'CONV_0.snapshot'))
  swapping.swapped = { name: 'CONV_0.snapshot', content }
  await append(nats, ['more'], 3)
  await t.rejects(run(nats, swapping, { keep }), { code: 'BACKUP_DIFFERS' })
  t.same(await swapping.backups(), [manifest.id])
})

t.test('an interruption keeps the backup, and says that it is not verified', async t => {
  const { nats } = await startFilled(t)
  const files = new FolderFiles(tempFolder(t))
  const controller = new AbortController()
  const notices: string[] = []
  let taken: Manifest | undefined
  const running = run(nats, files, {
    signal: controller.signal,
    onTaken: manifest => {
      taken = manifest
    },
    onProgress: () => {
      if (taken !== undefined) controller.abort(new Error('stopped'))
    },
    onNotice: notice => notices.push(notice),
  })
  await t.rejects(running, { message: 'stopped' })
  t.same(await files.backups(), [taken?.id])
  t.match(notices, [/is complete, but not verified/])
  const found = await findBackup(files, { key: undefined })
  t.equal(found?.id, taken?.id)
  t.equal(found?.verifiedAt, undefined)
  await restoreNewest(await startEmpty(t), files)
})

t.test('the retention removes old backups, and nothing else', async t => {
  const { nats } = await startFilled(t)
  const files = new FolderFiles(tempFolder(t))
  const first = await run(nats, files)
  t.ok(first.manifest.verifiedAt)
  t.ok((await findBackup(files, { key: undefined }))?.verifiedAt)
  const partial = await run(nats, files, { streams: ['USER_0'], verify: false })
  t.same(partial.reused, ['USER_0'])
  const newest = async (streams?: readonly string[]) =>
    (await findBackup(files, { key: undefined, streams }))?.id
  t.equal(await newest(), first.manifest.id, 'a backup of some streams is not the newest one of a system')
  t.equal(await newest(['USER_0']), partial.manifest.id)
  t.equal(await newest(['USER_0', 'CONV_0']), first.manifest.id)
  const second = await run(nats, files, { verify: false })
  t.equal(second.reused.length, first.manifest.streams.length)
  const abandoned = '20200101T000000000Z-abcd'
  const damaged = '20200102T000000000Z-abcd'
  for (const name of ['other', abandoned, damaged]) {
    mkdirSync(join(files.place, name))
    cpSync(
      join(files.place, first.manifest.id, 'USER_0.snapshot'),
      join(files.place, name, 'USER_0.snapshot'),
    )
  }
  writeFileSync(join(files.place, damaged, 'manifest.json'), '{}')
  writeFileSync(join(files.place, 'notes.txt'), '')
  const notices: string[] = []
  const keep = { last: 1, daily: 0, weekly: 0, monthly: 0 }
  const third = await run(nats, files, { keep, verify: false, onNotice: one => notices.push(one) })
  t.same(third.removed, [abandoned, second.manifest.id])
  t.same(await files.backups(), [damaged, first.manifest.id, partial.manifest.id, third.manifest.id, 'other'])
  t.ok(existsSync(join(files.place, 'notes.txt')))
  t.match(notices, [new RegExp(damaged)])
  await restoreNewest(await startEmpty(t), files)
})

t.test('what a failed removal leaves is no backup', { skip: cannotMount }, async t => {
  const { nats } = await startFilled(t)
  const files = new FolderFiles(tempFolder(t))
  const { id } = (await run(nats, files, { verify: false })).manifest
  // A mount point cannot be removed.
  mountDisk(t, join(files.place, id, 'disk'), '64k')
  await t.rejects(files.remove(id), { code: 'BACKUP_FAILED' })
  t.same(await files.backups(), [id])
  t.equal(await findBackup(files, { key: undefined }), undefined)
})

t.test('a full disk: no half backup, and the next one succeeds', { skip: cannotMount }, async t => {
  const { nats } = await startFilled(t)
  const disk = mountDisk(t, join(tempFolder(t), 'disk'), '4m')
  const files = new FolderFiles(join(disk.folder, 'backups'))
  const first = await run(nats, files, { verify: false })
  await append(nats, ['large'], 3_000)
  disk.resize('128k')
  const keep = { last: 1, daily: 0, weekly: 0, monthly: 0 }
  await t.rejects(run(nats, files, { keep }), { code: 'BACKUP_FAILED', message: /ENOSPC.*space on its disk/ })
  t.same(await files.backups(), [first.manifest.id])
  await restoreNewest(await startEmpty(t), files)
  disk.resize('4m')
  const second = await run(nats, files, { keep: { ...keep, last: 2 } })
  t.same(await files.backups(), [first.manifest.id, second.manifest.id])
  await restoreNewest(await startEmpty(t), files)
})
