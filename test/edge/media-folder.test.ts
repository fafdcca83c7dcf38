import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { openMediaFolder } from '../../src/infra/media-folder/index.ts'
import type { MediaStore } from '../../src/media/index.ts'
import { startConfab } from '../harness/confab.ts'
import { tempFolder } from '../harness/temp-folder.ts'
import { described, httpOf, png, putParts, type UploadAnswer } from '../harness/upload.ts'
import { mediaTests } from './media.ts'

mediaTests('folder', t => openMediaFolder(join(tempFolder(t), 'media')))

t.test('a slow verification is polled; too many at once have to wait', async t => {
  const store = await openMediaFolder(join(tempFolder(t), 'media'))
  const reading = Promise.withResolvers<void>()
  const gate = Promise.withResolvers<void>()
  const slow = new Proxy(store, {
    get: (_, name) => {
      const value: unknown = Reflect.get(store, name)
      if (name === 'read')
        return async function* (...args: Parameters<MediaStore['read']>) {
          reading.resolve()
          await gate.promise
          yield* store.read(...args)
        }
      return typeof value === 'function' ? value.bind(store) : value
    },
  })
  const confab = await startConfab(t, {
    mediaStore: slow,
    mediaLimits: { verifications: 1, verifyWaitMs: 50 },
  })
  const alice = httpOf(confab, 'alice')
  const uploaded = async (bytes: Buffer) => {
    const answer = (await alice.request('media', described(bytes))) as unknown as UploadAnswer
    t.same(await putParts(confab, answer, bytes), [200])
    return answer.mediaId
  }
  const one = await uploaded(png('one'))
  const other = await uploaded(png('other'))
  t.match(await alice.complete(one), { status: 202, body: { ok: true, verified: false } })
  t.match(await alice.complete(one), { status: 202 }, 'it is not started twice')
  await reading.promise
  t.match(await alice.complete(other), { status: 202 }, 'another one waits')
  gate.resolve()
  for (const media of [one, other]) {
    while ((await alice.complete(media)).status === 202) await sleep(10)
    t.match(await alice.complete(media), { status: 200, body: { verified: true } })
  }
})

t.test('HEAD returns the headers of GET, without reading the file', async t => {
  const store = await openMediaFolder(join(tempFolder(t), 'media'))
  const confab = await startConfab(t, { mediaStore: store })
  const alice = httpOf(confab, 'alice')
  const bytes = png('a large one'.repeat(50_000))
  const answer = (await alice.request('media', described(bytes))) as unknown as UploadAnswer
  t.same(await putParts(confab, answer, bytes), [200])
  t.match(await alice.complete(answer.mediaId), { body: { verified: true } })
  await alice.request('create', { c: 'tea', kind: 'group', members: [] })
  const attachments = [{ mediaId: answer.mediaId, ...described(bytes) }]
  await alice.request('send', { c: 'tea', m: 'm1', text: '', attachments })
  const { body } = await alice.call(`/v1/conversations/tea/media/${answer.mediaId}?redirect=false`)
  const url = new URL(body.url as string, confab.url)
  for (const headers of [{}, { range: 'bytes=1-3' }] as Record<string, string>[]) {
    const head = await fetch(url, { method: 'HEAD', headers })
    t.equal(head.status, 200)
    t.equal(head.headers.get('content-length'), String(bytes.length))
    t.equal(head.headers.get('content-type'), 'image/png')
    t.equal(await head.text(), '')
  }
  t.equal((await (await fetch(url)).arrayBuffer()).byteLength, bytes.length)
})
