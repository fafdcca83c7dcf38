import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { S3BackupFiles } from '../../../src/infra/s3/index.ts'
import { newBucket } from '../../harness/s3-bucket.ts'
import { tempFolder } from '../../harness/temp-folder.ts'

const chunksOf = async function* (...texts: readonly string[]): AsyncIterable<Uint8Array> {
  for (const text of texts) yield Buffer.from(text)
}

t.test('errors of the folder of temporary files name it', async t => {
  const bucket = await newBucket(t)
  if (bucket === undefined) return
  const files = new S3BackupFiles({ ...bucket, prefix: '' })
  t.teardown(() => files.close())
  await files.write('one/file', chunksOf('a', 'b'))
  const before = process.env.TMPDIR
  t.teardown(() => {
    if (before === undefined) delete process.env.TMPDIR
    else process.env.TMPDIR = before
  })
  process.env.TMPDIR = join(tempFolder(t), 'none')
  const failure = { code: 'BACKUP_FAILED', message: new RegExp(`folder ${process.env.TMPDIR}`) }
  await t.rejects(files.write('one/other', chunksOf('a')), failure)
  await t.rejects(files.fetch('one/file'), failure)
  t.equal(Buffer.from((await files.read('one/file')) ?? []).toString(), 'ab')
})

t.test('a connection that is lost during a download has a code', async t => {
  const server = createServer((_, answer) => {
    answer.writeHead(200, { 'content-length': 1_000 })
    answer.write('a')
    setTimeout(() => answer.destroy(), 50)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const files = new S3BackupFiles({
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    region: 'us-east-1',
    bucket: 'backups',
    credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
    prefix: '',
  })
  t.teardown(() => files.close())
  await t.rejects(files.fetch('one/file'), { code: 'MEDIA_STORE_UNREACHABLE' })
  await t.rejects(files.read('one/file'), { code: 'MEDIA_STORE_UNREACHABLE' })
})
