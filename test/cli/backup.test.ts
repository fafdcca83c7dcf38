import { randomBytes, randomUUID } from 'node:crypto'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readViews, sameViews } from '../harness/compare-views.ts'
import { spawnConfab, untilReady } from '../harness/confab-process.ts'
import { RawClient } from '../harness/raw-client.ts'
import { replayLog, runConfab } from '../harness/replay.ts'
import { newBucket, s3Credentials } from '../harness/s3-bucket.ts'
import { tempFolder } from '../harness/temp-folder.ts'

interface Output {
  readonly backup: string
  readonly streams: readonly Record<string, unknown>[]
}

const fieldsOf = ({ streams }: Output): string[] => [...new Set(streams.flatMap(one => Object.keys(one)))]

t.test('a system is backed up while it runs, and restored into an empty data folder', async t => {
  const folder = tempFolder(t)
  const [data, copy, backups, key] = ['data', 'copy', 'backups', 'key'].map(name => join(folder, name)) as [
    string,
    string,
    string,
    string,
  ]
  writeFileSync(key, randomBytes(32))
  const confab = await untilReady(await spawnConfab({ data }))
  t.teardown(() => confab.stop())
  const client = await RawClient.open(`${confab.url.replace('http', 'ws')}/v1/ws`)
  await client.ok('hello', { token: await confab.token('alice') })
  await client.ok('create', { c: 'team', kind: 'group', title: 'Team', members: ['bob'] })
  for (let n = 1; n <= 20; n++)
    await client.ok('send', { c: 'team', m: randomUUID(), text: `apple number ${n}` })
  client.close()

  const made = await runConfab(['backup', backups, '--data', data, '--key', key, '--verify', '--json'])
  t.equal(made.code, 0, made.stderr)
  const output = JSON.parse(made.stdout) as Output
  t.same(fieldsOf(output), ['stream', 'first', 'last', 'messages', 'bytes', 'sha256'])
  for (const name of readdirSync(join(backups, output.backup)))
    t.notOk(readFileSync(join(backups, output.backup, name)).includes('apple'), name)

  const restore = (...args: string[]) =>
    runConfab(['restore', backups, '--data', copy, '--key', key, ...args])
  const planned = await restore('--dry-run', '--json')
  t.equal(planned.code, 0, planned.stderr)
  t.same(JSON.parse(planned.stdout), output)
  t.match(await restore(), { code: 2, stderr: /BAD_OPTION.*--yes/ })
  t.match(await restore('--yes', '--stream', 'NONE'), { code: 1, stderr: /NO_SUCH_STREAM.*CONV_0/ })
  t.match(await restore('--yes', '--at', '2020-01-01'), { code: 2, stderr: /BAD_OPTION: --at/ })
  t.match(await restore('--yes', '--as', 'X'), { code: 2, stderr: /BAD_OPTION: --as/ })
  t.match(await runConfab(['restore', backups, '--data', copy, '--yes']), {
    code: 2,
    stderr: /BAD_OPTION: --key/,
  })
  const restored = await restore('--yes', '--json')
  t.equal(restored.code, 0, restored.stderr)
  t.same(JSON.parse(restored.stdout), output)
  t.match(await runConfab(['restore', backups, '--data', data, '--key', key, '--yes']), {
    code: 1,
    stderr: /TARGET_NOT_EMPTY/,
  })

  const second = await untilReady(await spawnConfab({ data: copy }))
  t.teardown(() => second.stop())
  t.same(await replayLog(['--data', copy]), await replayLog(['--data', data]))
  const read = (of: typeof confab) => () => readViews(of, ['alice', 'bob'], ['apple', 'number'])
  await sameViews(t, { actual: read(second), expected: read(confab) }, 'views of the restored log')
})

t.test('backups in S3', async t => {
  const bucket = await newBucket(t)
  if (bucket === undefined) return
  const folder = tempFolder(t)
  const env = {
    CONFAB_S3: bucket.endpoint ?? '',
    AWS_ACCESS_KEY_ID: s3Credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: s3Credentials.secretAccessKey,
  }
  const [data, copy] = [join(folder, 'data'), join(folder, 'copy')]
  const place = `s3://${bucket.bucket}/some/where`
  await runConfab(['streams', 'apply', '--data', data])
  const first = await runConfab(['backup', place, '--data', data, '--json'], env)
  t.equal(first.code, 0, first.stderr)
  const second = await runConfab(['backup', place, '--data', data, '--json'], env)
  t.match(second, { code: 0, stderr: /unchanged, not read again: USER_0/ })
  const newest = JSON.parse(second.stdout) as Output
  const restored = await runConfab(['restore', place, '--data', copy, '--yes', '--json'], env)
  t.equal(restored.code, 0, restored.stderr)
  t.equal((JSON.parse(restored.stdout) as Output).backup, newest.backup)
  const { backup } = JSON.parse(first.stdout) as Output
  rmSync(copy, { recursive: true })
  const older = await runConfab(['restore', `${place}/${backup}`, '--data', copy, '--yes', '--json'], env)
  t.equal((JSON.parse(older.stdout) as Output).backup, backup)
  t.match(await runConfab(['restore', `s3://${bucket.bucket}/empty`, '--data', copy, '--yes'], env), {
    code: 1,
    stderr: /BACKUP_DAMAGED/,
  })
  t.match(await runConfab(['backup', 's3://no-such-bucket-here', '--data', data], env), {
    code: 1,
    stderr: /MEDIA_BUCKET_MISSING/,
  })
})
