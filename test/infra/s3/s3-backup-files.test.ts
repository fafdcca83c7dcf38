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

/** Backups in a server of the test, for answers that a real one cannot be made to give. */
const standIn = (port: number): S3BackupFiles =>
  new S3BackupFiles({
    endpoint: `http://127.0.0.1:${port}`,
    region: 'us-east-1',
    bucket: 'backups',
    credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
    prefix: '',
  })

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
  const files = standIn((server.address() as AddressInfo).port)
  t.teardown(() => files.close())
  await t.rejects(files.fetch('one/file'), { code: 'MEDIA_STORE_UNREACHABLE' })
  await t.rejects(files.read('one/file'), { code: 'MEDIA_STORE_UNREACHABLE' })
})

t.test('the manifest of a backup is removed first', async t => {
  const deleted: string[] = []
  const names = ['CONV_0.snapshot', 'USER_0.snapshot', 'manifest.json']
  const server = createServer((request, answer) => {
    if (request.method === 'DELETE') {
      deleted.push(request.url?.split('?')[0]?.split('/').at(-1) ?? '')
      answer.writeHead(204).end()
      return
    }
    const contents = names.map(name => `<Contents><Key>one/${name}</Key></Contents>`).join('')
    answer.end(`<ListBucketResult><IsTruncated>false</IsTruncated>${contents}</ListBucketResult>`)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const files = standIn((server.address() as AddressInfo).port)
  t.teardown(() => files.close())
  await files.remove('one')
  t.equal(deleted[0], 'manifest.json')
  t.same([...new Set(deleted)].sort(), names)
})
