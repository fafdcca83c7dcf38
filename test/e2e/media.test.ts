import { join } from 'node:path'
import t, { type Test } from 'tap'
import {
  type ConfabProcess,
  type ProcessOptions,
  spawnConfab,
  untilReady,
} from '../harness/confab-process.ts'
import { freePort } from '../harness/free-ports.ts'
import { startNats } from '../harness/nats.ts'
import { runConfab } from '../harness/replay.ts'
import { newBucket, s3Credentials } from '../harness/s3-bucket.ts'
import { tempFolder } from '../harness/temp-folder.ts'
import { described, httpOf, png, putParts, type UploadAnswer, upload } from '../harness/upload.ts'

const secret = 'a secret that both processes know'

/** The environment of a process whose media are in a bucket. */
const s3Environment = ({ endpoint, bucket }: { endpoint?: string | undefined; bucket: string }) => ({
  ...(endpoint === undefined ? {} : { CONFAB_S3: endpoint }),
  CONFAB_S3_BUCKET: bucket,
  AWS_ACCESS_KEY_ID: s3Credentials.accessKeyId,
  AWS_SECRET_ACCESS_KEY: s3Credentials.secretAccessKey,
})

const twoProcesses = async (t: Test, env: Record<string, string>): Promise<void> => {
  const nats = await startNats(t)
  const start = async (options: ProcessOptions): Promise<ConfabProcess> => {
    const confab = await spawnConfab(options)
    t.teardown(() => confab.kill9())
    return await untilReady(confab)
  }
  const port = await freePort()
  const of = (port: number): ProcessOptions => ({ data: tempFolder(t), nats: nats.url, secret, port, env })
  const one = await start(of(port))
  const other = await start(of(await freePort()))
  const alice = { one: httpOf(one, 'alice'), other: httpOf(other, 'alice') }
  const created = await alice.one.request('create', { c: 'tea', kind: 'group', members: ['bob'] })
  t.ok(created.ok)

  const bytes = Buffer.concat([png(), Buffer.alloc(9 * 1024 ** 2, 'tea ')])
  const fields = described(bytes)
  const begun = (await alice.one.request('media', fields)) as unknown as UploadAnswer
  t.equal(begun.missing, 2)
  t.same(await putParts(one, { ...begun, parts: begun.parts.slice(0, 1) }, bytes), [200])
  await one.kill9()
  const going = (await alice.other.request('media', {
    ...fields,
    mediaId: begun.mediaId,
  })) as unknown as UploadAnswer
  t.equal(going.missing, 1, 'another process knows the uploads of the killed one')
  t.same(await putParts(other, going, bytes), [200])
  t.match(await alice.other.complete(begun.mediaId), { status: 200 })
  const attachments = [{ mediaId: begun.mediaId, ...fields }]
  t.match(await alice.other.request('send', { c: 'tea', m: 'm1', text: 'look', attachments }), {
    ok: true,
    seq: 2,
  })
  await other.kill9()

  const again = await start(of(port))
  const bob = httpOf(again, 'bob')
  const { status, headers } = await bob.call(`/v1/conversations/tea/media/${begun.mediaId}`)
  t.equal(status, 302, 'and so does one that started after both')
  const file = await fetch(new URL(headers.get('location') ?? '', again.url))
  t.ok(Buffer.from(await file.arrayBuffer()).equals(bytes))
  t.match(await httpOf(again, 'mallory').call(`/v1/conversations/tea/media/${begun.mediaId}`), {
    status: 404,
  })
}

t.test('an upload continues in another process: folder', async t => {
  await twoProcesses(t, { CONFAB_MEDIA_FOLDER: join(tempFolder(t), 'media') })
})

t.test('an upload continues in another process: S3', async t => {
  const bucket = await newBucket(t)
  if (bucket !== undefined) await twoProcesses(t, s3Environment(bucket))
})

t.test('a missing or refusing bucket ends the start with its code', async t => {
  const bucket = await newBucket(t)
  if (bucket === undefined) return
  const serve = (env: Record<string, string>) =>
    runConfab(['serve', '--dev', '--port', '0', '--data', tempFolder(t)], env)
  const missing = await serve(s3Environment({ ...bucket, bucket: 'confab-test-nowhere' }))
  t.equal(missing.code, 1)
  t.match(missing.stderr, /error MEDIA_BUCKET_MISSING: there is no bucket confab-test-nowhere at http/)
  const denied = await serve({ ...s3Environment(bucket), AWS_SECRET_ACCESS_KEY: 'not the secret' })
  t.equal(denied.code, 1)
  t.match(denied.stderr, /error MEDIA_STORE_DENIED: .*AWS_ACCESS_KEY_ID/)
  t.notMatch(denied.stderr, /not the secret/)
  const halfway = await serve({ CONFAB_S3: bucket.endpoint ?? '' })
  t.equal(halfway.code, 2)
  t.match(halfway.stderr, /error BAD_OPTION: .*s3\.bucket names no bucket/)
})

t.test('an unreachable store affects only its media', async t => {
  const env = s3Environment({ endpoint: `http://127.0.0.1:${await freePort()}`, bucket: 'b' })
  const confab = await untilReady(await spawnConfab({ data: tempFolder(t), secret, env }))
  t.teardown(() => confab.stop())
  const alice = httpOf(confab, 'alice')
  t.match(await alice.request('create', { c: 'tea', kind: 'group', members: [] }), { ok: true })
  const unavailable = { ok: false, error: { code: 'UNAVAILABLE', retryable: true } }
  t.match(await alice.request('media', described(png())), unavailable)
  const attachments = [{ mediaId: 'A'.repeat(64), ...described(png()) }]
  t.match(await alice.request('send', { c: 'tea', m: 'm1', text: '', attachments }), unavailable)
  t.match(await alice.request('send', { c: 'tea', m: 'm2', text: 'tea' }), { ok: true, seq: 2 })
  t.match(await alice.call(`/v1/conversations/tea/media/${'A'.repeat(64)}`), { status: 503 })
  while (!confab.output().includes('MEDIA_STORE_UNREACHABLE'))
    await new Promise(resolve => setTimeout(resolve, 20))
  t.equal((await fetch(`${confab.url}/readyz`)).status, 200)
  t.equal(await confab.stop(), 0)
})

t.test('without configuration the data folder is the store', async t => {
  const confab = await untilReady(await spawnConfab({ data: tempFolder(t) }))
  t.teardown(() => confab.stop())
  const alice = httpOf(confab, 'alice')
  t.match(await alice.request('create', { c: 'tea', kind: 'group', members: [] }), { ok: true })
  const attachments = [await upload(confab, 'alice', png())]
  t.match(await alice.request('send', { c: 'tea', m: 'm1', text: '', attachments }), { ok: true })
})
