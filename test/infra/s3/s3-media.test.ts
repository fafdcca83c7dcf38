import t, { type Test } from 'tap'
import { S3Media } from '../../../src/infra/s3/index.ts'
import { Media, MediaProblem } from '../../../src/media/index.ts'
import { type MediaStoreUnderTest, mediaStoreContract } from '../../contracts/media-store.ts'
import { mediaSweepContract } from '../../contracts/media-sweep.ts'
import { startProxy } from '../../harness/nats-proxy.ts'
import { newBucket, newS3Media, s3Credentials } from '../../harness/s3-bucket.ts'

const open = async (t: Test): Promise<MediaStoreUnderTest | undefined> => {
  const store = await newS3Media(t)
  if (store === undefined) return undefined
  return {
    store,
    put: async (url, body) => {
      try {
        return await fetch(url, { method: 'PUT', body: body as Uint8Array<ArrayBuffer> })
      } catch (error) {
        // A refusing server need not read the body: the connection closes during the upload.
        const { code } = (error as { cause?: { code?: string } }).cause ?? {}
        if (code === 'ECONNRESET' || code === 'EPIPE') return { status: 0 }
        throw error
      }
    },
    get: async (url, range) => {
      const answer = await fetch(url, { headers: range === undefined ? {} : { range } })
      return {
        status: answer.status,
        body: new Uint8Array(await answer.arrayBuffer()),
        headers: Object.fromEntries(answer.headers),
      }
    },
  }
}

mediaStoreContract('S3', open)
mediaSweepContract('S3', open)

t.test('S3: errors of the store have a code, and no secret in the message', async t => {
  const options = await newBucket(t)
  if (options === undefined) return
  const using = async (changes: Partial<typeof options>): Promise<string[]> => {
    const store = new S3Media({ ...options, ...changes })
    t.teardown(() => store.close())
    const outcomes: string[] = []
    const attempts: (() => Promise<unknown>)[] = [
      () => store.check(),
      () => store.put('uploads/A/facts', new Uint8Array([1])),
      () => store.beginUpload('uploads/A/content', 'text/plain'),
      () => store.list('uploads/')[Symbol.asyncIterator]().next(),
    ]
    for (const attempt of attempts)
      try {
        await attempt()
        outcomes.push('ok')
      } catch (error) {
        outcomes.push((error as { code: string }).code)
        t.notMatch((error as Error).message, new RegExp(s3Credentials.secretAccessKey))
      }
    return outcomes
  }
  t.same(await using({}), ['ok', 'ok', 'ok', 'ok'])
  t.same(await using({ bucket: 'confab-test-nowhere' }), Array(4).fill(MediaProblem.noBucket))
  const denied = Array(4).fill(MediaProblem.denied)
  t.same(await using({ credentials: { accessKeyId: 'test', secretAccessKey: 'wrong' } }), denied)
  t.same(await using({ credentials: { accessKeyId: 'nobody', secretAccessKey: 'wrong' } }), denied)
  t.same(await using({ endpoint: 'http://127.0.0.1:9' }), Array(4).fill(MediaProblem.unreachable))
})

t.test('S3: an unreachable store is UNAVAILABLE, and reported to the operator, until it returns', async t => {
  const options = await newBucket(t)
  if (options === undefined) return
  const proxy = await startProxy(Number(new URL(options.endpoint ?? '').port))
  t.teardown(() => proxy.close())
  const store = new S3Media({ ...options, endpoint: `http://127.0.0.1:${proxy.port}` })
  t.teardown(() => store.close())
  const problems: string[] = []
  const media = new Media(store, {}, error => problems.push(error.code))
  const about = { name: 'a.txt', type: 'text/plain', size: 3, sha256: 'a'.repeat(64) }
  const { mediaId } = await media.announce('alice', about)
  proxy.block(true)
  await t.rejects(media.announce('alice', about), { code: 'UNAVAILABLE' })
  await t.rejects(media.upload('alice', mediaId), { code: 'UNAVAILABLE' })
  await t.rejects(media.complete('alice', mediaId), { code: 'UNAVAILABLE' })
  t.same(problems, Array(3).fill(MediaProblem.unreachable))
  proxy.block(false)
  t.equal((await media.upload('alice', mediaId)).missing, 1)
})
